import Testing
import TraceMetrics
import TraceModel

/// Random histories of a log, as reported by workers that crash and hand over slots.
@Suite struct MetricStorePropertyTests {
    typealias Make = SampleFactory

    /// A slot's state at an LSN. A pure function, because workers are deterministic.
    private static func slot(_ slot: UInt8, lsn: LSN) -> SlotSamples {
        let weight = Double(lsn * UInt64(slot + 1))
        return Make.slot(
            slot,
            lsn: lsn,
            [
                Make.events(weight), Make.calls(weight / 7, pid: Int(slot)),
                Make.active(Double(lsn % 5), pid: Int(slot)),
            ]
        )
    }

    private static func history(seed: UInt64) -> [Report] {
        var random = SeededGenerator(seed: seed)
        return (0..<60).map { _ in
            let slots = (0..<3).map { _ in
                slot(.random(in: 0..<8, using: &random), lsn: .random(in: 1...40, using: &random))
            }
            let worker = "function.\(Int.random(in: 0..<2, using: &random))"
            return Make.snapshot(worker, slots: slots)
        }
    }

    private static func page(_ history: [Report]) throws -> [UInt8] {
        var store = MetricStore()
        for snapshot in history { try store.apply(snapshot) }
        return Exposition.render(store.reading(), .trace, .text, now: 0)
    }

    @Test(arguments: UInt64(1)...20) func theOrderOfMessagesDoesNotMatter(seed: UInt64) throws {
        let history = Self.history(seed: seed)
        var random = SeededGenerator(seed: seed &+ 1_000)
        let expected = try Self.page(history)
        #expect(try Self.page(history.shuffled(using: &random)) == expected)
        #expect(try Self.page(history + history.shuffled(using: &random)) == expected)
    }

    @Test(arguments: UInt64(1)...10) func noCounterEverFalls(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var store = MetricStore()
        var last: [SeriesKey: Double] = [:]
        for (index, snapshot) in Self.history(seed: seed).enumerated() {
            var snapshot = snapshot
            snapshot.snapshot.incarnation = UInt64(index / 10)
            try store.apply(snapshot)
            if index % 7 == 0 { store.declareDown("function.0") }
            if Bool.random(using: &random) { store = try MetricStore(decoding: store.encoded()) }
            for family in store.reading().families where family.descriptor.kind == .counter {
                for series in family.series {
                    guard case .counter(let value) = series.value else { continue }
                    let key = SeriesKey(family: family.descriptor.family, labels: series.labels)
                    #expect(value >= last[key, default: 0], "seed \(seed): \(key)")
                    last[key] = value
                }
            }
        }
        #expect(!last.isEmpty)
    }
}
