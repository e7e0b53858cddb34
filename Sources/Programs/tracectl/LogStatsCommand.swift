import ArgumentParser
import OperatorTools

struct LogStatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Counts what the log holds: files, records, batches, events by resource.",
        discussion: """
            The log is trimmed as workers checkpoint: what is counted is what is still there. Only the \
            events ever accepted, deduplicated, rejected and dead-lettered reach back to the first start.

              tracectl log stats --json | jq .events
            """
    )

    @OptionGroup var data: DataOptions

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    func run() throws {
        let statistics = try LogStatistics(StoredLog(dataDirectory: data.directory))
        Terminal.output.line(json ? try Report.json(statistics) : statistics.text)
    }
}
