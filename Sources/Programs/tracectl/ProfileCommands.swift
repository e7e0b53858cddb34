import ArgumentParser
import OperatorTools
import TraceFiles
import TraceModel

extension FlameGraph.Format: ExpressibleByArgument {}
extension FunctionTotals.Order: ExpressibleByArgument {}

/// The windows and processes whose call paths are read.
struct ProfileOptions: ParsableArguments {
    /// For the discussion of commands over call paths.
    static let help = """
        Reads output/profile in the data directory, in bounded memory; the cluster need not run. Of windows that lie in \
        the span only in part, the events in the traces count; where these are larger than 256 MB, such windows count as \
        a whole, and what they cover is said. The open window is not included: tracectl finalize closes it. Time goes to the innermost call of each thread, so self times add up \
        to the time in which threads had a call open. Processes whose agents send only some of their calls have no \
        paths; they are named on standard error.

        \(SpanOptions.help)

        \(SourceOptions.help)
        """

    @OptionGroup var span: SpanOptions

    @Option(
        help: ArgumentHelp("Only one window, by the time in its files' names.", valueName: "stem")
    ) var window: String?

    @Option(help: ArgumentHelp("Only one host, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("Only one process.", valueName: "pid")) var pid: UInt32?

    /// Returns the files that hold the selected windows.
    static func files(_ selection: ProfileSelection) -> StoredResults.Selection {
        var files = StoredResults.Selection(
            // Of windows that lie in the span only in part, the events count.
            selection.from == nil && selection.to == nil ? ["profile"] : ["profile", "json"],
            [.function],
            from: selection.from,
            to: selection.to
        )
        files.stem = selection.stem
        return files
    }

    func selection(_ zone: LazyTimeZone) throws -> ProfileSelection {
        var selection = ProfileSelection()
        (selection.from, selection.to) = try span.resolved { try zone.rules() }
        selection.stem = window
        selection.host = host
        selection.pid = pid
        return selection
    }
}

/// `tracectl flame`.
struct FlameCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flame",
        abstract: "Writes where time went, by call path, for flame graphs.",
        discussion: """
            Adds up the call paths of finalized windows: host, process, and the functions called, the outermost first. \
            folded is text for flamegraph.pl and others, with self times in nanoseconds; pprof (compressed) is for go \
            tool pprof and Pyroscope; speedscope for speedscope.app; svg is a picture for any browser; json a tree \
            with calls, self_ns and total_ns of each path.

              tracectl flame --format svg > flame.svg
              tracectl flame --format folded --host web-1 --pid 4711
              tracectl flame --format pprof --from '2026-05-01 14:00:00' > calls.pb.gz

            \(ProfileOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var profile: ProfileOptions

    @Option(
        help: ArgumentHelp("folded, pprof, speedscope, svg or json.", valueName: "format")
    ) var format = FlameGraph.Format.folded

    @Flag(help: "The same as --format json.") var json = false

    func run() throws {
        let selection = try profile.selection(LazyTimeZone(source.data))
        try source.read(ProfileOptions.files(selection)) { directory in
            try FlameRun(
                dataDirectory: directory,
                selection: selection,
                format: json ? .json : format
            ).run()
        }
    }
}

/// `tracectl top`.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Shows the functions that took the most time in finalized windows.",
        discussion: """
            Self time is that of a function without the calls inside it; total time includes them, and a recursive \
            call counts once.

              tracectl top --from '2026-05-01 14:00:00' --to '2026-05-01 14:05:00'
              tracectl top --by calls --host web-1 --pid 4711
              tracectl top --json | jq '.functions[0]'

            \(ProfileOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var profile: ProfileOptions

    @Option(help: ArgumentHelp("self, total or calls.", valueName: "number"))
    var by = FunctionTotals.Order.`self`

    @Option(help: ArgumentHelp("Functions to show.", valueName: "n")) var rows = 20

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func validate() throws {
        guard rows > 0 else { throw ValidationError("--rows: \(rows), allowed 1 or more") }
    }

    func run() throws {
        let selection = try profile.selection(LazyTimeZone(source.data))
        var files = ProfileOptions.files(selection)
        // Percentiles of whole windows stand in their summaries.
        files.directories.append("summary")
        files.hasRecords = true
        try source.read(files) { directory in
            try TopRun(
                dataDirectory: directory,
                selection: selection,
                order: by,
                rows: rows,
                isJSON: json
            ).run()
        }
    }
}

/// `tracectl diff`.
struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Shows which functions take more or less time than in another span.",
        discussion: """
            Compares the self times of two spans of finalized windows, in milliseconds a second, so that spans of \
            different length can be compared. The functions that add the most to the total, or take the most from it, \
            come first. --against-from and --against-to, or --against-window, name what is compared against.

              tracectl diff --from '2026-05-01 14:00:00' --against-from '2026-05-01 13:00:00' --against-to '2026-05-01 13:30:00'
              tracectl diff --window 20260501_140500 --against-window 20260501_140000 --json

            \(ProfileOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var profile: ProfileOptions

    @Option(help: ArgumentHelp("Compared against: nothing before.", valueName: "time"))
    var againstFrom: TimeBound?

    @Option(help: ArgumentHelp("Compared against: nothing after.", valueName: "time"))
    var againstTo: TimeBound?

    @Option(help: ArgumentHelp("Compared against: only one window.", valueName: "stem"))
    var againstWindow: String?

    @Option(help: ArgumentHelp("Functions to show.", valueName: "n")) var rows = 20

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func validate() throws {
        guard rows > 0 else { throw ValidationError("--rows: \(rows), allowed 1 or more") }
        guard againstFrom != nil || againstTo != nil || againstWindow != nil else {
            throw ValidationError(
                "--against-from, --against-to or --against-window has to say what to compare against"
            )
        }
    }

    func run() throws {
        let zone = LazyTimeZone(source.data)
        let after = try profile.selection(zone)
        var before = after
        (before.from, before.to) = try SpanOptions.resolved(
            againstFrom,
            "--against-from",
            againstTo,
            "--against-to"
        ) { try zone.rules() }
        before.stem = againstWindow
        // Of one window each, or of all between the two spans.
        var files = ProfileOptions.files(after)
        if files.stem != before.stem { files.stem = nil }
        files.from = after.from.flatMap { from in before.from.map { min($0, from) } }
        files.to = after.to.flatMap { to in before.to.map { max($0, to) } }
        try source.read(files) { directory in
            try DiffRun(
                dataDirectory: directory,
                before: before,
                after: after,
                rows: rows,
                isJSON: json
            ).run()
        }
    }
}
