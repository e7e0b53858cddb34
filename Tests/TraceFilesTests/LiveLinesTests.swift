import Testing
import TraceFiles
import TraceModel

@Suite struct LiveLinesTests {
    private static func line(
        _ ts: Int,
        window: Int = 5,
        rule: String = "slow_io",
        resource: String = "io",
        host: String = "a",
        pid: Int = 7
    ) -> String {
        #"{"worker":"\#(resource).0","window":\#(window),"number":0,"rule":"\#(rule)","#
            + #""resource":"\#(resource)","host":"\#(host)","pid":\#(pid),"process":"p","#
            + #""ts":\#(ts),"value":1,"baseline":1,"score":1,"severity":0.5,"message":"m"}"#
    }

    private static func times(
        _ lines: [String],
        published: [FinalWindow] = [],
        _ change: (inout AnomalySelection) -> Void = { _ in }
    ) -> [Int64] {
        var selection = AnomalySelection()
        change(&selection)
        let answer = lines.map { $0 + "\n" }.joined()
        return Array(answer.utf8).withUnsafeBytes { bytes in
            var live = LiveLines(bytes, selection, published: published)
            var times: [Int64] = []
            while let line = live.next(upTo: .max) { times.append(line.ts / 1_000) }
            return times
        }
    }

    @Test func theyComeInOrderOfTime() {
        let lines = [Self.line(30), Self.line(10), "no finding", Self.line(20)]
        #expect(Self.times(lines) == [10, 20, 30])
        let answer = Array(lines.joined(separator: "\n").utf8)
        answer.withUnsafeBytes { bytes in
            var live = LiveLines(bytes, AnomalySelection(), published: [])
            #expect(live.next(upTo: 9_999) == nil)
            #expect(live.next(upTo: 10_000)?.ts == 10_000)
            #expect(live.next(upTo: 10_000) == nil)
        }
        #expect(Self.times([]) == [])
    }

    /// A window number is that of a resource.
    @Test func whatIsPublishedIsLeftOut() {
        let lines = [
            Self.line(10, window: 4), Self.line(20, window: 5),
            Self.line(30, window: 4, resource: "cpu"),
        ]
        let published = [FinalWindow(resource: .io, window: 4, finalAt: 1)]
        #expect(Self.times(lines, published: published) == [20, 30])
    }

    @Test func theSelectionHolds() {
        let lines = [
            Self.line(10), Self.line(20, rule: "agent"), Self.line(30, resource: "cpu"),
            Self.line(40, host: "b"), Self.line(50, pid: 8),
        ]
        #expect(Self.times(lines) { $0.from = 20_000 } == [20, 30, 40, 50])
        #expect(Self.times(lines) { $0.to = 20_000 } == [10, 20])
        #expect(Self.times(lines) { $0.rule = "agent" } == [20])
        #expect(Self.times(lines) { $0.resource = .cpu } == [30])
        #expect(Self.times(lines) { $0.host = "b" } == [40])
        #expect(Self.times(lines) { $0.pid = 8 } == [50])
    }
}
