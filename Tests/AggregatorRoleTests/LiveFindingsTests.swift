import ClusterMessages
import Testing
import TraceModel

@testable import AggregatorRole

/// The findings of windows that are not published yet.
@Suite struct LiveFindingsTests {
    private static let function = WorkerName(resource: .function, index: 0)
    private static let io = WorkerName(resource: .io, index: 1)

    private static func report(
        _ worker: WorkerName = function,
        window: UInt64,
        first: UInt64,
        _ names: [String]
    ) -> WorkerFindings {
        WorkerFindings(
            worker: worker,
            incarnation: 1,
            window: window,
            first: first,
            lines: names.flatMap { Array("{\"rule\":\"\($0)\"}\n".utf8) }
        )
    }

    private static func lines(_ findings: LiveFindings) -> [String] {
        String(decoding: findings.json, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static func rules(_ findings: LiveFindings) -> [String] {
        lines(findings).map { String($0.split(separator: "\"")[11]) }
    }

    @Test func eachIsALineWithItsPlace() {
        var findings = LiveFindings()
        #expect(findings.json.isEmpty)
        findings.add(Self.report(window: 3, first: 7, ["a", "b"]))
        findings.add(Self.report(Self.io, window: 2, first: 0, ["c"]))
        #expect(
            Self.lines(findings) == [
                #"{"worker":"function.0","window":3,"number":7,"rule":"a"}"#,
                #"{"worker":"function.0","window":3,"number":8,"rule":"b"}"#,
                #"{"worker":"io.1","window":2,"number":0,"rule":"c"}"#,
            ]
        )
    }

    @Test func whatAWorkerRepeatsAfterARestartIsThereOnce() {
        var findings = LiveFindings()
        findings.add(Self.report(window: 1, first: 0, ["a", "b"]))
        findings.add(Self.report(window: 2, first: 0, ["c", "d"]))
        findings.add(Self.report(window: 1, first: 0, ["a", "b"]))
        findings.add(Self.report(window: 2, first: 0, ["c"]))
        findings.add(Self.report(window: 2, first: 1, ["d", "e"]))
        findings.add(Self.report(Self.io, window: 1, first: 0, ["f"]))
        // Some were lost on the way.
        findings.add(Self.report(window: 2, first: 9, ["g"]))
        findings.add(Self.report(window: 2, first: .max, ["h"]))
        #expect(Self.rules(findings) == ["a", "b", "c", "d", "e", "f", "g"])
    }

    @Test func publishedWindowsGoWhenTheNextOneIsPublished() {
        var findings = LiveFindings()
        findings.add(Self.report(Self.io, window: 1, first: 0, ["other"]))
        for window in 1...3 { findings.add(Self.report(window: UInt64(window), first: 0, ["a"])) }
        findings.remove(.function, before: 1)
        #expect(Self.lines(findings).count == 4)
        findings.remove(.function, before: 3)
        #expect(Self.rules(findings) == ["other", "a"])
    }

    @Test func theBusiestWorkerGivesWay() {
        let lineBytes = Self.report(window: 1, first: 0, ["x"]).lines.count
        var findings = LiveFindings(bytesMax: 10 * lineBytes)
        findings.add(Self.report(Self.io, window: 1, first: 0, ["r"]))
        for number in 0..<50 {
            findings.add(Self.report(window: 1, first: UInt64(number), ["\(number % 10)"]))
        }
        let rules = Self.rules(findings)
        #expect(rules.first == "r")
        #expect(rules.last == "9")
        #expect((8...11).contains(rules.count))
    }
}
