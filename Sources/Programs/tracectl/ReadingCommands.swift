import ArgumentParser
import OperatorTools
import TraceFiles
import TraceModel

/// `tracectl cat`.
struct CatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Writes the events of finalized windows to standard output, as one document.",
        discussion: """
            Reads the final files in the data directory, plain or compressed, in bounded memory; the cluster \
            need not run. Events of all windows and hosts come in order of time, and a call that spans \
            several windows is opened once. In JSON a call that is open at --from begins there (category \
            continued), and one that is still open at --to ends there; CSV contains the calls that ended in \
            between.

            \(SpanOptions.help)

              tracectl cat --resource cpu --format csv --pid 4711
              tracectl cat --resource function --from '2026-05-01 14:00:00.5'
              tracectl cat --resource io --host web-1 --to 2026-05-01T12:00:00Z

            --resource all writes what tracectl trace writes without its options: one trace of all resources.

            Tables that were written with the setting csv_columns = original have times in milliseconds and no \
            hosts. --columns original makes such a table of any files, also of files of both kinds.

            \(SourceOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @Option(help: ArgumentHelp("One of \(Resource.nameList), or all.", valueName: "resource"))
    var resource: ResourceChoice

    @OptionGroup var span: SpanOptions

    @Option(help: ArgumentHelp("Only one process.", valueName: "pid")) var pid: UInt32?

    @Option(help: ArgumentHelp("Only one host, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("json (a Chrome trace) or csv.", valueName: "format")) var format =
        CatRun.Format.json

    @Option(
        help: ArgumentHelp(
            "Of csv: all that the files have, or only the original server's, which are numbers.",
            valueName: "all|original"
        )
    ) var columns = CSVColumns.all

    func validate() throws {
        if columns == .original, format != .csv {
            throw ValidationError("--columns goes with --format csv")
        }
        if case .all = resource, format == .csv {
            throw ValidationError(
                "Tables of different resources have different columns: name one resource, or use --format json"
            )
        }
    }

    func run() throws {
        let zone = LazyTimeZone(source.data)
        let (from, to) = try span.resolved { try zone.rules() }
        guard case .one(let resource) = resource else {
            let selection = CombinedTraceSelection(from: from, to: to, pid: pid, host: host)
            _ = try source.read(
                StoredResults.Selection(["json", "anomalies"], from: from, to: to)
            ) { try TraceRun(dataDirectory: $0, selection: selection).run() }
            return
        }
        let selection = TraceSelection(resource: resource, from: from, to: to, pid: pid, host: host)
        try source.read(
            StoredResults.Selection([format.rawValue], [resource], from: from, to: to)
        ) { directory in
            try CatRun(
                dataDirectory: directory,
                selection: selection,
                format: format,
                columns: columns
            ).run()
        }
    }
}

/// `tracectl summary`.
struct SummaryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summary",
        abstract: "Summarizes the finalized windows: totals and top lists by resource.",
        discussion: """
            Reads output/summary in the data directory; the cluster need not run. Over several windows, \
            sums and quantiles (within 1 %) are merged; a row counts in those windows in which it was \
            among the first \(Limits.summaryRowsMax) of one of its lists. The open window is not included: \
            tracectl finalize closes it.

              tracectl summary --resource function --top 5
              tracectl summary --last --json | jq '.[].tables'

            \(SourceOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @Option(help: ArgumentHelp("Only one resource: \(Resource.nameList).", valueName: "resource"))
    var resource: Resource?

    @Option(help: ArgumentHelp("Rows of each list.", valueName: "n")) var top = 10

    @Flag(help: "Only each resource's newest window.") var last = false

    @Flag(help: "Print an array with one JSON object for each resource and nothing else.")
    var json = false

    func validate() throws {
        guard (1...Limits.summaryRowsMax).contains(top) else {
            throw ValidationError("--top is 1 to \(Limits.summaryRowsMax)")
        }
    }

    func run() throws {
        var selection = StoredResults.Selection(
            ["summary"],
            resource.map { [$0] } ?? Resource.allCases
        )
        selection.isLastWindowOnly = last
        let answers = try source.read(selection) { directory in
            try SummaryQuery(
                dataDirectory: directory,
                resource: resource,
                // Several cells have a last window each.
                isLastWindowOnly: last && source.objectStore == nil
            ).run()
        }
        let terminal = Terminal.output
        let report = SummaryReport(answers, topRows: top, terminal: terminal)
        terminal.line(json ? report.json : report.text)
    }
}

/// `tracectl anomalies`.
struct AnomaliesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "anomalies",
        abstract: "Shows what the anomaly rules found in finalized windows, in order of time.",
        discussion: """
            Reads output/anomalies in the data directory, in bounded memory; the cluster need not run. The open \
            window is not included: tracectl finalize closes it. With --follow, further findings come as they are \
            raised, from the aggregator. Severity goes from 0 to 1. With --json each line is one object with the \
            keys rule, resource, host, pid, process, ts (microseconds since the epoch), value, baseline, score, \
            severity and message.

            \(SpanOptions.help)

              tracectl anomalies --from '2026-05-01 14:00:00'
              tracectl anomalies --rule slow_call --host web-1
              tracectl anomalies --resource memory --json | jq .message
              tracectl anomalies --follow

            \(SourceOptions.help)

            Rules: \(AnomalyRun.ruleNames.joined(separator: ", ")).
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var span: SpanOptions

    @Option(help: ArgumentHelp("Only the findings of one rule.", valueName: "rule")) var rule:
        String?

    @Option(help: ArgumentHelp("Only one resource: \(Resource.nameList).", valueName: "resource"))
    var resource: Resource?

    @Option(help: ArgumentHelp("Only one host, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("Only one process.", valueName: "pid")) var pid: UInt32?

    @Flag(help: "Print one JSON object per line and nothing else.") var json = false

    @Flag(help: "Go on with further findings as they are raised.") var follow = false

    func validate() throws {
        if follow, source.objectStore != nil {
            throw ValidationError("--follow reads a data directory, not an object store")
        }
        guard let rule, !AnomalyRun.ruleNames.contains(rule) else { return }
        let rules = AnomalyRun.ruleNames.joined(separator: ", ")
        throw ValidationError("There is no rule \(rule). The rules are: \(rules)")
    }

    func run() throws {
        let zone = LazyTimeZone(source.data)
        var selection = AnomalySelection()
        (selection.from, selection.to) = try span.resolved { try zone.rules() }
        selection.rule = rule
        selection.resource = resource
        selection.host = host
        selection.pid = pid
        let format: AnomalyRun.Format = json ? .json : .table(try zone.rules())
        if follow {
            let directory = source.data.directory
            return try AnomalyRun(dataDirectory: directory, selection: selection, format: format)
                .follow()
        }
        let count = try source.read(
            StoredResults.Selection(
                ["anomalies"],
                resource.map { [$0] } ?? Resource.allCases,
                from: selection.from,
                to: selection.to
            )
        ) { try AnomalyRun(dataDirectory: $0, selection: selection, format: format).run() }
        guard count == 0, !json else { return }
        Terminal.error.line(
            isNarrowed
                ? "No anomaly in the final files is of that kind."
                : "There are no anomalies in the final files."
        )
    }

    private var isNarrowed: Bool {
        span.from != nil || span.to != nil || rule != nil || resource != nil || host != nil
            || pid != nil
    }
}
