import ArgumentParser
import OperatorTools
import TraceModel

struct LogDumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Shows the log, one line a record.",
        discussion: """
            LSN, type, bytes to the next record, then by name what the record holds: arrival, host, events \
            by resource, a barrier's window, a damage record's range, the totals so far. A damaged range \
            is a line of its own.

              tracectl log dump --from 1048576 --limit 5
              tracectl log dump --json | jq 'select(.type == "barrier")'
            """
    )

    @OptionGroup var data: DataOptions

    @Option(help: ArgumentHelp("The first record: the one here, or the next.", valueName: "lsn"))
    var from: LSN?

    @Option(help: ArgumentHelp("Nothing that begins here or behind.", valueName: "lsn"))
    var to: LSN?

    @Option(help: ArgumentHelp("So many lines at most.", valueName: "n"))
    var limit: Int?

    @Flag(help: "Print one JSON object a line.")
    var json = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is 1 or more") }
        if let from, let to, from > to { throw ValidationError("--from is behind --to") }
    }

    func run() throws {
        let log = try StoredLog(dataDirectory: data.directory)
        try LogDump(from: from, to: to, limit: limit, isJSON: json).run(log) {
            Terminal.output.line($0)
        }
    }
}
