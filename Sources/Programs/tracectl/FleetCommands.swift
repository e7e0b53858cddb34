import ArgumentParser
import OperatorTools
import TraceModel

/// `tracectl hosts`.
struct HostsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hosts",
        abstract: "Shows the hosts that have sent events.",
        discussion: """
            Reads output/summary in the data directory; the cluster need not run. Windows that overlap the span count \
            as a whole, and the open window is not included: tracectl finalize closes it. The console's hosts is the \
            same as --json.

            \(SpanOptions.help)

              tracectl hosts --from '2026-05-01 14:00:00'
              tracectl hosts --json | jq -r '.hosts[].host'

            \(SourceOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var span: SpanOptions

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func run() throws {
        let zone = LazyTimeZone(source.data)
        let (from, to) = try span.resolved { try zone.rules() }
        try source.read(.summaries(from, to)) { directory in
            try FleetRun(dataDirectory: directory, from: from, to: to, isJSON: json).hosts()
        }
    }
}

extension StoredResults.Selection {
    /// The summaries of windows that overlap a span, with the windows' records.
    fileprivate static func summaries(_ from: EpochNanoseconds?, _ to: EpochNanoseconds?) -> Self {
        var selection = Self(["summary"], from: from, to: to)
        selection.hasRecords = true
        return selection
    }
}

/// `tracectl processes`.
struct ProcessesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "processes",
        abstract: "Shows the processes that have sent events, those with the most first.",
        discussion: """
            Reads output/summary in the data directory like tracectl hosts. Of each window and resource, summaries \
            name the most important processes; where some are left out, that is said. The console's processes is \
            the same as --json.

            \(SpanOptions.help)

              tracectl processes --host web-1 --rows 10

            \(SourceOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var span: SpanOptions

    @Option(help: ArgumentHelp("Only one host, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("Only one process.", valueName: "pid")) var pid: UInt32?

    @Option(help: ArgumentHelp("Processes to show.", valueName: "n")) var rows = 1_000

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func validate() throws {
        guard rows > 0 else { throw ValidationError("--rows: \(rows), allowed 1 or more") }
    }

    func run() throws {
        let zone = LazyTimeZone(source.data)
        let (from, to) = try span.resolved { try zone.rules() }
        try source.read(.summaries(from, to)) { directory in
            try FleetRun(dataDirectory: directory, from: from, to: to, isJSON: json).processes(
                host: host,
                pid: pid,
                limit: rows
            )
        }
    }
}
