import Testing
import TraceMetrics
import TraceModel

/// Random processes with far more functions than are shown, compared with the calls that were made.
@Suite struct SeriesLimitPropertyTests {
    typealias Make = SampleFactory

    private static let families: [MetricFamily] = [.functionCallsTotal, .functionDurationSeconds]

    /// What a worker knows, and the totals that all series of a family must add up to.
    private struct Oracle {
        var calls: [Int: [String: UInt64]] = [:]
        var expected: [MetricFamily: UInt64] = [:]
        /// Calls of the processes that the store knows.
        var known: [Int: UInt64] = [:]
        /// Processes with changes to report, and slots whose series are reported in full.
        var changed: Set<Int> = []
        var full: Set<UInt8> = []

        mutating func call(_ pid: Int, _ function: String, _ count: UInt64) {
            calls[pid, default: [:]][function, default: 0] += count
            for family in families { expected[family, default: 0] += count }
            changed.insert(pid)
        }

        mutating func giveUp(_ pid: Int, _ function: String) {
            guard let count = calls[pid]?.removeValue(forKey: function) else { return }
            calls[pid]?[MetricLabel.other, default: 0] += count
            full.insert(slot(of: pid))
        }

        /// Shown series disappear with their counts; `other` keeps its own.
        mutating func forget(_ pid: Int, _ shown: [SeriesKey: UInt64]) {
            guard let functions = calls.removeValue(forKey: pid) else { return }
            let untold = functions.values.reduce(0, +) - (known.removeValue(forKey: pid) ?? 0)
            for family in families { expected[family, default: 0] -= untold }
            for (key, count) in shown where key.labels[1] == "\(pid)" {
                expected[key.family, default: 0] -= count
            }
            full.insert(slot(of: pid))
        }

        func slot(of pid: Int) -> UInt8 { UInt8(pid % 4) }

        mutating func reported(lsn: LSN) -> [SlotSamples] {
            defer {
                changed = []
                full = []
                known = calls.mapValues { $0.values.reduce(0, +) }
            }
            return (UInt8(0)..<4).map { slot in
                let isFull = full.contains(slot)
                let pids = calls.keys.sorted().filter {
                    self.slot(of: $0) == slot && (isFull || changed.contains($0))
                }
                let samples = pids.flatMap { pid in
                    (calls[pid] ?? [:]).sorted { $0.key < $1.key }.flatMap {
                        SeriesLimitPropertyTests.samples(pid, $0.key, $0.value)
                    }
                }
                return Make.slot(slot, lsn: lsn, full: isFull, samples)
            }
        }
    }

    private static func samples(_ pid: Int, _ function: String, _ count: UInt64) -> [MetricSample] {
        var buckets = [UInt64](repeating: 0, count: MetricBounds.functionSeconds.count + 1)
        buckets[7] = count
        let calls = Make.calls(Double(count), pid: pid, function: function)
        return [
            calls,
            MetricSample(
                family: .functionDurationSeconds,
                labels: calls.labels,
                value: .histogram(buckets: buckets, sum: Double(count) / 8)
            ),
        ]
    }

    /// Calls or observations by series.
    private static func counts(_ reading: MetricReading) -> [SeriesKey: UInt64] {
        var counts: [SeriesKey: UInt64] = [:]
        for family in families {
            for series in reading.family(family)?.series ?? [] {
                let key = SeriesKey(family: family, labels: series.labels)
                switch series.value {
                case .counter(let value), .gauge(let value): counts[key] = UInt64(value)
                case .histogram(let buckets, let sum):
                    counts[key] = buckets.reduce(0, +)
                    #expect(sum * 8 == Double(buckets.reduce(0, +)))
                }
            }
        }
        return counts
    }

    private static func live(
        _ oracle: inout Oracle,
        _ shown: [SeriesKey: UInt64],
        _ random: inout SeededGenerator
    ) {
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            // Some functions are called far more often than others, and this changes over time.
            let function = Int.random(in: 0..<8, using: &random)
            oracle.call(
                .random(in: 1...12, using: &random),
                "f\(function)",
                .random(in: 1...(function.isMultiple(of: 3) ? 60 : 6), using: &random)
            )
        }
        let pid = Int.random(in: 1...12, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3:
            let functions = (oracle.calls[pid] ?? [:]).keys.filter { $0 != MetricLabel.other }
            if let function = functions.sorted().randomElement(using: &random) {
                oracle.giveUp(pid, function)
            }
        case 3: oracle.forget(pid, shown)
        default: break
        }
    }

    @Test(arguments: UInt64(1)...12) func sumsAreExactAndNeverDecrease(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var store = MetricStore(limits: SeriesLimits(perFamily: 60))
        var oracle = Oracle()
        var shown: [SeriesKey: UInt64] = [:]
        var incarnation: UInt64 = 1
        for round in 1...120 {
            // A worker forgets a process before anything new of it arrives.
            let gone = oracle.calls
            Self.live(&oracle, shown, &random)
            if Int.random(in: 0..<15, using: &random) == 0 {
                incarnation += 1
                oracle.full = [0, 1, 2, 3]
            }
            let reported = oracle.reported(lsn: LSN(round))
            try store.apply(Make.snapshot(incarnation: incarnation, slots: reported))
            if Bool.random(using: &random) { _ = store.chooseHistograms() }
            if Bool.random(using: &random) { store = try MetricStore(decoding: store.encoded()) }
            if Int.random(in: 0..<12, using: &random) == 0 {
                store.adopt(SeriesLimits(perFamily: .random(in: 20...80, using: &random)))
            }
            let now = Self.counts(store.reading())
            for family in Self.families {
                let sum = now.filter { $0.key.family == family }.values.reduce(0, +)
                #expect(sum == oracle.expected[family], "seed \(seed), round \(round): \(family)")
            }
            for (key, count) in now
            where gone[Int(key.labels[1]) ?? 0] != nil || key.labels[1] == "other" {
                #expect(count >= shown[key, default: 0], "seed \(seed), round \(round): \(key)")
            }
            shown = now
        }
        #expect(shown.keys.contains { $0.labels[0] == MetricLabel.other })
    }
}
