import Testing
import TraceFiles
import TraceModel

@testable import TraceSummaries

/// Durations of functions in windows that count as a whole.
struct FunctionDurationsTests {
    private static let summary = OverallTableTests.summary([
        OverallTableTests.row(1, "f", [10, 20]), OverallTableTests.row(2, "f", [30]),
        OverallTableTests.row(1, "g", [5]),
    ])

    private static func p99(
        _ calls: [String: UInt64],
        of pid: UInt32? = nil,
        in summaries: [WindowSummary?] = [summary]
    ) -> [String: UInt64] {
        var selection = ProfileSelection()
        selection.pid = pid
        var durations = FunctionDurations()
        for summary in summaries {
            durations.add(summary, selection, calls: calls.map { (Array($0.key.utf8), $0.value) })
        }
        return calls.keys.reduce(into: [:]) { $0[$1] = durations.p99(of: Array($1.utf8)) }
    }

    @Test func theyAreThoseOfTheSelectedProcesses() {
        #expect(Self.p99(["f": 3, "g": 1]) == ["f": 30, "g": 5])
        #expect(Self.p99(["f": 2, "g": 1], of: 1) == ["f": 20, "g": 5])
        #expect(Self.p99(["f": 1], of: 2) == ["f": 30])
    }

    /// A percentile of some of the calls is none.
    @Test func aFunctionOfWhichCallsAreMissingHasNone() {
        #expect(Self.p99(["f": 4, "g": 1, "h": 1]) == ["g": 5])
        #expect(Self.p99(["f": 2, "g": 1], of: 2).isEmpty)
        #expect(Self.p99(["f": 3], in: [Self.summary, nil]).isEmpty)
        #expect(Self.p99(["f": 3], in: [Self.summary, Self.summary]) == ["f": 30])
    }
}
