import Testing
import TraceMetrics
import TraceModel

@Suite struct MetricStoreSavingTests {
    typealias Make = SampleFactory

    private static func filledStore() throws -> MetricStore {
        var store = MetricStore(limits: SeriesLimits(perFamily: 2))
        let samples = (1...4).map { Make.calls(Double($0) + 0.5, pid: $0) }
        try store.apply(Make.routerSnapshot(workers: ["function.0", "cpu.1"], received: 300))
        try store.apply(
            Make.snapshot(
                slots: [Make.slot(1, lsn: 300, samples), Make.slot(2, lsn: 5, [Make.events(1e9)])],
                own: [Make.processing(3, sum: 0.1)]
            )
        )
        try store.apply(Make.snapshot(incarnation: 2, own: [Make.processing(4, sum: 0.1)]))
        return store
    }

    @Test func aRestoredStoreIsEqual() throws {
        var store = try Self.filledStore()
        var copy = try MetricStore(decoding: store.encoded())
        for process in ["router", "function.0"] { store.declareDown(process) }
        #expect(
            Exposition.render(copy.reading(), .all, .text, now: 0)
                == Exposition.render(store.reading(), .all, .text, now: 0)
        )
        #expect(copy.reading().router.receivedEvents == 300)
        // Later messages are handled as before: the limit, the LSNs and the incarnations are restored.
        let late = Make.snapshot(
            incarnation: 1,
            slots: [Make.slot(2, lsn: 4, [Make.events(1)])],
            own: [Make.processing(9, sum: 9)]
        )
        let more = Make.snapshot(
            incarnation: 2,
            slots: [Make.slot(1, lsn: 301, full: false, [Make.calls(7, pid: 9)])]
        )
        for snapshot in [late, more] {
            try store.apply(snapshot)
            try copy.apply(snapshot)
        }
        #expect(
            Exposition.render(copy.reading(), .all, .text, now: 0)
                == Exposition.render(store.reading(), .all, .text, now: 0)
        )
    }

    /// Names that are equal as `String`s have separate counters, before and after saving.
    @Test func canonicallyEquivalentNamesAreDistinctSeries() throws {
        let names = ["e\u{301}", "\u{E9}", "\u{212B}", "\u{C5}"]
        let samples = names.enumerated().map {
            Make.calls(Double($0.offset + 1), pid: 1, function: $0.element)
        }
        let own = names.enumerated().map {
            MetricSample(
                family: .workerAppliedEventsTotal,
                labels: [$0.element],
                value: .counter(Double($0.offset + 1))
            )
        }
        func apply(incarnation: UInt64, _ own: [MetricSample]) -> Report {
            Make.snapshot(
                incarnation: incarnation,
                slots: [Make.slot(1, lsn: 300, samples)],
                own: own
            )
        }
        var store = MetricStore()
        try store.apply(apply(incarnation: 1, own))
        // The totals of the first worker are retired.
        try store.apply(apply(incarnation: 2, own))
        var copy = try MetricStore(decoding: store.encoded())
        for reading in [store.reading(), copy.reading()] {
            for (family, factor) in [
                (MetricFamily.functionCallsTotal, 1.0), (.workerAppliedEventsTotal, 2),
            ] {
                let found = try #require(reading.families.first { $0.descriptor.family == family })
                let counted = found.series.map { (Array(($0.labels.last ?? "").utf8), $0.value) }
                for (position, name) in names.enumerated() {
                    let own = counted.filter { $0.0 == Array(name.utf8) }.map(\.1)
                    #expect(own == [.counter(Double(position + 1) * factor)])
                }
            }
        }
    }

    @Test func damageIsAnErrorOrAnotherStoreButNeverACrash() throws {
        let bytes = try Self.filledStore().encoded()
        for length in 0..<bytes.count {
            #expect(throws: TraceError.self) { try MetricStore(decoding: Array(bytes[..<length])) }
        }
        var refused = 0
        for position in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[position] ^= 1 << UInt8(bit)
                do {
                    var store = try MetricStore(decoding: damaged)
                    #expect(!store.reading().families.isEmpty)
                } catch { refused += 1 }
            }
        }
        #expect(refused > bytes.count)
    }
}
