package import TraceFiles
import TraceModel

/// The durations of functions' calls in a span: those of windows that are read by their events, and what summaries have
/// of the windows that count as a whole.
package struct FunctionDurations: Sendable {
    private var sketches: [[UInt8]: QuantileSketch] = [:]
    /// Functions of which some durations are not known.
    private var unknown: Set<[UInt8]> = []

    /// Reads the call paths of a data directory with the durations of their calls. The other parameters are those of
    /// `CallPaths`. Blocks.
    /// - Throws: `TraceError` if a file is damaged; whatever `checkCancelled` throws.
    package static func read(
        _ selection: ProfileSelection,
        root: String = "",
        nodesMax: Int = Limits.profileNodesMax,
        catalog: WindowCatalog,
        budget: ReadingBudget = ReadingBudget(),
        checkCancelled: @escaping () throws -> Void = {}
    ) throws -> (paths: CallPaths, durations: FunctionDurations) {
        var ended: [Int: QuantileSketch] = [:]
        let paths = try CallPaths(
            selection,
            root: root,
            nodesMax: nodesMax,
            budget: budget,
            ended: { name, nanoseconds in
                ended[name, default: QuantileSketch()].insert(nanoseconds)
            },
            checkCancelled: checkCancelled
        )
        var durations = FunctionDurations()
        for (name, sketch) in ended { durations.sketches[paths.names[name]] = sketch }
        let windows = paths.callsOfProfiles
        guard !windows.isEmpty else { return (paths, durations) }
        let summaries = try Self.summaries(of: windows, catalog, checkCancelled)
        for (stem, calls) in windows {
            try checkCancelled()
            let named = calls.map { (paths.names[$0.key], $0.value) }
            // A summary that is damaged or missing does not keep the paths from being shown.
            let summary = try? summaries[stem]?.readSummary(root: root)
            durations.add(summary, selection, calls: named)
        }
        return (paths, durations)
    }

    /// Returns the windows of functions whose summaries are to be read, by their stems; none if these are too many.
    private static func summaries(
        of windows: [String: [Int: UInt64]],
        _ catalog: WindowCatalog,
        _ checkCancelled: () throws -> Void
    ) throws -> [String: CatalogWindow] {
        guard windows.count <= Limits.functionDurationWindowsMax else { return [:] }
        var found: [String: CatalogWindow] = [:]
        for window in try catalog.read(checkCancelled: checkCancelled).windows
        where window.window.resource == .function {
            // `summary/summary_STEM_function.json`, perhaps compressed.
            guard let name = window.summary?.name.split(separator: "/").last,
                let end = name.firstRange(of: "_\(Resource.function.name).")?.lowerBound,
                let begin = name.firstRange(of: "_")?.upperBound, begin <= end
            else { continue }
            let stem = String(name[begin..<end])
            if windows[stem] != nil { found[stem] = window }
        }
        return found
    }

    /// Adds a window's summary, where the functions were called so often.
    mutating func add(
        _ summary: WindowSummary?,
        _ selection: ProfileSelection,
        calls: [([UInt8], UInt64)]
    ) {
        let isOfAll = selection.host == nil && selection.pid == nil
        let table = summary?.tables.first {
            $0.schema.item == "function" && ($0.schema.scope == .everywhere) == isOfAll
        }
        let host = selection.host.map { Array($0.utf8) }
        var counted: [[UInt8]: UInt64] = [:]
        for row in table?.rows ?? []
        where isOfAll
            || (host.map { row.key.host == $0 } ?? true)
                && (selection.pid.map { row.key.pid == $0 } ?? true)
        {
            // The first column is that of the calls.
            counted[row.key.item, default: 0] &+= row.values[0]
            sketches[row.key.item, default: QuantileSketch()].merge(row.sketch)
        }
        // Summaries have the most important functions only.
        for (name, calls) in calls where calls > counted[name] ?? 0 { unknown.insert(name) }
    }

    /// Returns the 99th percentile of a function's durations in nanoseconds. It is exact within 1 %, and nil where some
    /// durations are not known, or none.
    package func p99(of name: [UInt8]) -> UInt64? {
        unknown.contains(name) ? nil : sketches[name]?.quantile(0.99)
    }
}
