import ArgumentParser
import OperatorTools
import TraceFiles
import TraceModel

struct CatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Writes the events of finalized windows to standard output, as one document.",
        discussion: """
            Reads the final files in the data directory, plain or gzip, in bounded memory; the cluster need \
            not run. Events of all windows and hosts come in order of time, and a call that went on over \
            several windows is opened once. Times are inclusive: seconds since the epoch, or ISO 8601 with a \
            zone.

              tracectl cat --resource cpu --format csv --pid 4711
              tracectl cat --resource function --from 2026-05-01T12:00:00Z --to 1777636860.5 > part.json
            """
    )

    @OptionGroup var data: DataOptions

    @Option(help: ArgumentHelp("One of \(Resource.nameList).", valueName: "resource"))
    var resource: Resource

    @Option(help: ArgumentHelp("Nothing before.", valueName: "time"))
    var from: StartTime?

    @Option(help: ArgumentHelp("Nothing after.", valueName: "time"))
    var to: StartTime?

    @Option(help: ArgumentHelp("Of one process only.", valueName: "pid"))
    var pid: UInt32?

    @Option(help: ArgumentHelp("json (a Chrome trace) or csv.", valueName: "format"))
    var format = CatRun.Format.json

    func validate() throws {
        if let from, let to, from.nanoseconds > to.nanoseconds {
            throw ValidationError("--from is after --to")
        }
    }

    func run() throws {
        let selection = TraceSelection(
            resource: resource,
            from: from?.nanoseconds,
            to: to?.nanoseconds,
            pid: pid
        )
        try CatRun(dataDirectory: data.directory, selection: selection, format: format).run()
    }
}
