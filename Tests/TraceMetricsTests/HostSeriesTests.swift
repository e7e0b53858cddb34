import Testing
import TraceMetrics
import TraceModel

/// Series of hosts: several slots report one, and stop at different times.
@Suite struct HostSeriesTests {
    typealias Make = SampleFactory

    private static func lastBatch(_ seconds: Double, host: String = "a") -> MetricSample {
        MetricSample(
            family: .hostLastBatchTimestampSeconds,
            labels: [host],
            value: .gauge(seconds)
        )
    }

    private static func found(_ count: Double, host: String = "a") -> MetricSample {
        MetricSample(
            family: .anomaliesTotal,
            labels: [host, "function", "slow_call"],
            value: .counter(count)
        )
    }

    private static let slowCalls = ["a", "function", "slow_call"]

    /// The order of LSNs, which decides about other gauges, says nothing here.
    @Test func aHostsLastBatchIsTheLatestOfAllSlotsAndWorkers() throws {
        var store = MetricStore()
        let slots = [
            Make.slot(1, lsn: 90, [Self.lastBatch(20)]),
            Make.slot(2, lsn: 10, [Self.lastBatch(30)]),
            Make.slot(3, lsn: 95, [Self.lastBatch(10), Self.lastBatch(5, host: "b")]),
        ]
        try store.apply(Make.snapshot(slots: slots))
        try store.apply(
            Make.snapshot("cpu.0", slots: [Make.slot(1, lsn: 99, [Self.lastBatch(25)])])
        )
        let family = MetricFamily.hostLastBatchTimestampSeconds
        #expect(store.reading().value(family, ["a"]) == .gauge(30))
        #expect(store.reading().value(family, ["b"]) == .gauge(5))
        #expect(store.lastBatches().map(\.host) == ["a", "b"])
        #expect(store.lastBatches().map(\.time) == [30_000_000_000, 5_000_000_000])
        // Slots that no longer have the host leave the others.
        try store.apply(Make.snapshot(slots: [Make.slot(2, lsn: 100, []), slots[2]]))
        #expect(store.reading().value(family, ["a"]) == .gauge(25))
        for process in ["function.0", "cpu.0"] {
            let slots = (1...3).map { Make.slot($0, lsn: 101, []) }
            try store.apply(Make.snapshot(process, slots: slots))
        }
        #expect(store.reading().family(family) == nil)
        #expect(store.lastBatches().isEmpty)
    }

    @Test func findingsOfAHostNeverFallWhileItIsThere() throws {
        var store = MetricStore()
        try store.apply(
            Make.snapshot(slots: [
                Make.slot(1, lsn: 10, [Self.found(3)]), Make.slot(2, lsn: 10, [Self.found(4)]),
            ])
        )
        #expect(store.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(7))
        // The host's last process in slot 1 is gone, then it comes back there and counts from zero.
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 20, [])]))
        #expect(store.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(7))
        var copy = try MetricStore(decoding: store.encoded())
        #expect(copy.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(7))
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 30, [Self.found(1)])]))
        #expect(store.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(8))
        // It went and came within one report.
        try store.apply(Make.snapshot(slots: [Make.slot(2, lsn: 30, [Self.found(2)])]))
        #expect(store.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(10))
        // A replay changes nothing.
        let replayed = Make.slot(2, lsn: 10, [Self.found(4)])
        try store.apply(Make.snapshot(incarnation: 2, slots: [replayed]))
        #expect(store.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(10))
        // Nothing is left of a host that is gone from all slots.
        let gone = [Make.slot(1, lsn: 40, []), Make.slot(2, lsn: 40, [])]
        try store.apply(Make.snapshot(incarnation: 2, slots: gone))
        #expect(store.reading().family(.anomaliesTotal) == nil)
        let back = Make.slot(1, lsn: 50, [Self.found(1)])
        try store.apply(Make.snapshot(incarnation: 2, slots: [back]))
        #expect(store.reading().value(.anomaliesTotal, Self.slowCalls) == .counter(1))
    }

    @Test func hostsBeyondTheLimitAreFolded() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 2))
        let samples = ["a", "b", "c", "d"].flatMap {
            [Self.found(5, host: $0), Self.lastBatch(9, host: $0)]
        }
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 10, samples)]))
        let reading = store.reading()
        #expect(reading.family(.anomaliesTotal)?.count == 3)
        #expect(reading.value(.anomaliesTotal, ["other", "other", "other"]) == .counter(10))
        #expect(reading.family(.hostLastBatchTimestampSeconds)?.count == 2)
        // What is kept of slots is limited, too.
        let slot = Make.slot(2, lsn: 10, [Self.found(1, host: "a"), Self.found(1, host: "b")])
        try store.apply(Make.snapshot(slots: [slot]))
        try store.apply(Make.snapshot(slots: [Make.slot(2, lsn: 20, [])]))
        #expect(store.reading().family(.anomaliesTotal)?.count == 3)
    }

    /// Until version 3 of the format the labels were resource and rule.
    @Test func aStoreWithoutHostsIsRead() throws {
        var store = MetricStore()
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 10, [Self.found(3, host: "")])]))
        let saved = store.encoded()
        let labels = { (first: UInt8) -> [UInt8] in
            [first, 8] + Array("function".utf8) + [first + 1, 9] + Array("slow_call".utf8)
        }
        // Its texts are the first three that stand in no earlier place: the host's number and length, then the others.
        let number = try #require(
            (0..<UInt8.max - 2).first { saved.contains([$0, 0] + labels($0 + 1)) }
        )
        var old = saved.replacing([number, 0] + labels(number + 1), with: labels(number))
        old.replaceSubrange(0..<8, with: Array("TRACEMS3".utf8))
        #expect(old.count == saved.count - 2)
        var copy = try MetricStore(decoding: old)
        #expect(
            copy.reading().value(.anomaliesTotal, ["", "function", "slow_call"]) == .counter(3)
        )
        #expect(throws: TraceError.self) {
            try MetricStore(decoding: Array("TRACEMS4".utf8) + old.dropFirst(8))
        }
    }
}
