import Foundation
package import TraceFiles
import TraceModel
import TraceSummaries

/// Runs `tracectl flame`: writes the call paths of published windows in one of the formats of flame graph viewers.
package struct FlameRun {
    private let dataDirectory: String
    private let selection: ProfileSelection
    private let format: FlameGraph.Format

    package init(dataDirectory: String, selection: ProfileSelection, format: FlameGraph.Format) {
        self.dataDirectory = dataDirectory
        self.selection = selection
        self.format = format
    }

    /// Writes the paths to standard output, and what they leave out to standard error. Blocks. A closed reader is no
    /// error.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    package func run() throws {
        let paths = try ProfileReport.paths(selection, dataDirectory)
        let coverage = Array(try Report.json(ProfileCoverage(paths, selection)).utf8)
        try StandardOutput.streaming {
            try unsafe FlameGraph(paths, coverage: coverage) { try unsafe StandardOutput.write($0) }
                .write(format)
        }
        for line in ProfileReport.notices(paths, selection) { Terminal.error.line(line) }
    }
}

/// Runs `tracectl top`: the functions that took the most time.
package struct TopRun {
    private let dataDirectory: String
    private let selection: ProfileSelection
    private let order: FunctionTotals.Order
    private let rows: Int
    private let isJSON: Bool

    package init(
        dataDirectory: String,
        selection: ProfileSelection,
        order: FunctionTotals.Order,
        rows: Int,
        isJSON: Bool
    ) {
        self.dataDirectory = dataDirectory
        self.selection = selection
        self.order = order
        self.rows = rows
        self.isJSON = isJSON
    }

    /// Writes the functions to standard output, as a table or as one JSON object. Blocks.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    package func run() throws {
        try StandardOutput.checkHasOutput(dataDirectory)
        let (paths, durations) = try FunctionDurations.read(
            selection,
            root: dataDirectory,
            catalog: WindowCatalog(root: dataDirectory)
        )
        let functions = FunctionTotals.top(rows, by: order, in: paths)
        if isJSON {
            return Terminal.output.line(
                try Report.json(
                    TopReport(
                        coverage: ProfileCoverage(paths, selection),
                        functions: functions,
                        p99: durations.p99
                    )
                )
            )
        }
        let all = Double(max(paths.totalNanoseconds, 1))
        if !functions.isEmpty {
            Terminal.output.line(
                Terminal.output.paint(
                    ProfileReport.line(
                        ["SELF MS", "SELF %", "TOTAL MS", "CALLS", "P99 MS"],
                        "FUNCTION"
                    ),
                    .bold
                )
            )
        }
        for function in functions {
            let cells = [
                ProfileReport.milliseconds(function.selfNanoseconds),
                String(format: "%.1f", Double(function.selfNanoseconds) * 100 / all),
                ProfileReport.milliseconds(function.totalNanoseconds),
                Report.grouped(Int(clamping: function.calls)),
                durations.p99(of: function.name).map { ProfileReport.milliseconds($0) } ?? "-",
            ]
            Terminal.output.line(ProfileReport.line(cells, SummaryReport.shown(function.name)))
        }
        for line in ProfileReport.notices(paths, selection) { Terminal.error.line(line) }
    }
}

/// Runs `tracectl diff`: the functions that take more or less time in a second than in another span.
package struct DiffRun {
    private let dataDirectory: String
    private let before: ProfileSelection
    private let after: ProfileSelection
    private let rows: Int
    private let isJSON: Bool

    /// - Parameter before: What is compared against.
    package init(
        dataDirectory: String,
        before: ProfileSelection,
        after: ProfileSelection,
        rows: Int,
        isJSON: Bool
    ) {
        self.dataDirectory = dataDirectory
        self.before = before
        self.after = after
        self.rows = rows
        self.isJSON = isJSON
    }

    /// Writes the functions to standard output, as a table or as one JSON object. Blocks.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    package func run() throws {
        let old = try ProfileReport.paths(before, dataDirectory)
        let new = try ProfileReport.paths(after, dataDirectory)
        let differences = FunctionDifference.all(from: old, to: new).prefix(rows)
        if isJSON {
            return Terminal.output.line(
                try Report.json(
                    DiffReport(
                        against: ProfileCoverage(old, before),
                        coverage: ProfileCoverage(new, after),
                        functions: differences
                    )
                )
            )
        }
        if !differences.isEmpty {
            Terminal.output.line(
                Terminal.output.paint(
                    ProfileReport.line(["DIFF MS/S", "BEFORE", "NOW", "CALLS"], "FUNCTION"),
                    .bold
                )
            )
        }
        for difference in differences {
            let cells = [
                String(format: "%+.3f", difference.difference * 1_000),
                String(format: "%.3f", difference.selfBefore * 1_000),
                String(format: "%.3f", difference.selfAfter * 1_000),
                Report.grouped(Int(clamping: difference.after?.calls ?? 0)),
            ]
            Terminal.output.line(ProfileReport.line(cells, SummaryReport.shown(difference.name)))
        }
        for line in ProfileReport.notices(new, after) { Terminal.error.line(line) }
        for line in ProfileReport.notices(old, before) {
            Terminal.error.line("Compared against: \(line)")
        }
    }
}

// MARK: Reports

/// What the commands over call paths share.
private enum ProfileReport {
    static func paths(_ selection: ProfileSelection, _ dataDirectory: String) throws -> CallPaths {
        try StandardOutput.checkHasOutput(dataDirectory)
        return try CallPaths(selection, root: dataDirectory)
    }

    static func line(_ numbers: [String], _ name: String) -> String {
        numbers.map { $0.padded(leftTo: 12) }.joined(separator: " ") + "  " + name
    }

    static func milliseconds(_ nanoseconds: UInt64) -> String {
        String(format: "%.3f", Double(nanoseconds) / 1e6)
    }

    /// Says what a reader could take for something else.
    static func notices(_ paths: CallPaths, _ selection: ProfileSelection) -> [String] {
        var lines: [String] = []
        if paths.windows == 0 {
            lines.append(
                "No finalized window of that span has call paths. The open window has none: tracectl finalize closes it."
            )
        } else if paths.nodes.isEmpty, paths.sampled.isEmpty {
            lines.append("No process of that kind has calls in these windows.")
        }
        if let covered = paths.covered, paths.exceeds(from: selection.from, to: selection.to) {
            lines.append(
                "Windows count as a whole: these cover \(SummaryReport.moment(covered.lowerBound)) to "
                    + SummaryReport.moment(covered.upperBound) + "."
            )
        }
        if let (first, _) = paths.sampledByProcess.first {
            let count = paths.sampled.count
            let name = SummaryReport.shown(first.process)
            lines.append(
                "Left out: \(count) \(count == 1 ? "process" : "processes") (\(name), pid \(first.pid)"
                    + "\(count == 1 ? "" : ", …")) whose agents send only some of their calls, so that paths and self"
                    + " times are not known."
            )
        }
        if paths.callsBeyond > 0 {
            lines.append(
                "There were too many paths: \(Report.grouped(Int(clamping: paths.callsBeyond))) calls are under (other)."
            )
        }
        return lines
    }
}
