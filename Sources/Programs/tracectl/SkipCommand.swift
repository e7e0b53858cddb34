import ArgumentParser
import OperatorTools
import TraceModel

struct SkipCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip",
        abstract: "Sets aside what a worker has not come past, so that it can go on behind.",
        discussion: """
            For a worker that is stuck, or so far behind that the ingest log fills the disk. Its process is \
            killed first, stopped or not; its supervisor starts another. Its events from its checkpoint up to \
            the position LSN go to a dead letter and count as dead-lettered; other workers are not touched. \
            A worker that is down for good, as what it has saved is of no use, begins anew: all of its events that \
            are in no final file yet are set aside, and it has to be started then. \
            Positions are those of `trace_router_log_head_lsn` and of error messages; one beyond the log's end \
            means its end.

              tracectl skip function.0 --to 73400320
            """
    )

    @Argument(
        help: "The worker, as status names it.",
        transform: { text in
            guard let worker = WorkerName(text) else {
                throw ValidationError("\(text) is no worker's name, like function.0")
            }
            return worker
        }
    )
    var worker: WorkerName

    @Option(help: ArgumentHelp("The position in the log where it goes on.", valueName: "lsn"))
    var to: LSN

    @OptionGroup var data: DataOptions

    func run() throws {
        let result = try AdminClient.skip(worker, to: to, dataDirectory: data.directory)
        Terminal.output.line(result)
    }
}
