import ArgumentParser
import OperatorTools
import TraceFiles
import TraceModel

struct CatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Writes the events of finalized windows to standard output, as one document.",
        discussion: """
            Reads the final files in the data directory, plain or compressed, in bounded memory; the cluster \
            need not run. Events of all windows and hosts come in order of time, and a call that went on over \
            several windows is opened once. In JSON a call that is open at --from begins there (category \
            continued), and one that is still open at --to ends there; CSV holds the calls that ended in \
            between.

            \(SpanOptions.help)

              tracectl cat --resource cpu --format csv --pid 4711
              tracectl cat --resource function --from '2026-05-01 14:00:00.5'
              tracectl cat --resource io --host web-1 --to 2026-05-01T12:00:00Z

            Tables that were written with the setting csv_columns = original have times in milliseconds and no \
            hosts. --columns original makes such a table of any files, also of files of both kinds.
            """
    )

    @OptionGroup var data: DataOptions

    @Option(help: ArgumentHelp("One of \(Resource.nameList).", valueName: "resource"))
    var resource: Resource

    @OptionGroup var span: SpanOptions

    @Option(help: ArgumentHelp("Of one process only.", valueName: "pid"))
    var pid: UInt32?

    @Option(help: ArgumentHelp("Of one host only, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("json (a Chrome trace) or csv.", valueName: "format"))
    var format = CatRun.Format.json

    @Option(
        help: ArgumentHelp(
            "Of csv: all that the files have, or only the original server's, which are numbers.",
            valueName: "all|original"
        )
    )
    var columns = CSVColumns.all

    func validate() throws {
        if columns == .original, format != .csv {
            throw ValidationError("--columns goes with --format csv")
        }
    }

    func run() throws {
        let zone = LazyTimeZone(data)
        let (from, to) = try span.resolved { try zone.rules() }
        let selection = TraceSelection(
            resource: resource,
            from: from,
            to: to,
            pid: pid,
            host: host
        )
        try CatRun(
            dataDirectory: data.directory,
            selection: selection,
            format: format,
            columns: columns
        ).run()
    }
}
