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

    @Test func aSavedStoreReadsTheSame() throws {
        var store = try Self.filledStore()
        var copy = try MetricStore(decoding: store.encoded())
        for process in ["router", "function.0"] { store.declareDown(process) }
        #expect(
            Exposition.render(copy.reading(), .all, .text, now: 0)
                == Exposition.render(store.reading(), .all, .text, now: 0)
        )
        #expect(copy.reading().router.receivedEvents == 300)
        // What follows is taken as before: the limit, the LSNs and the incarnations are known.
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

    @Test func damageIsAnErrorOrAnotherStoreButNeverACrash() throws {
        let bytes = try Self.filledStore().encoded()
        for length in 0..<bytes.count {
            #expect(throws: TraceError.self) {
                try MetricStore(decoding: Array(bytes[..<length]))
            }
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
