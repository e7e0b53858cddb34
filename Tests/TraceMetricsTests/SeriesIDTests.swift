import Testing
import TraceMetrics
import TraceModel

/// Series told by their ids over several messages.
@Suite struct SeriesIDTests {
    typealias Make = SampleFactory

    /// A worker that remembers what it has told.
    private struct Teller: ~Copyable {
        var writer = SeriesWriter()
        var sets: [SeriesKey: SeriesSet] = [:]
        var begins = true
        let incarnation: UInt64

        init(incarnation: UInt64 = 1) {
            self.incarnation = incarnation
            writer.begin()
        }

        mutating func message(
            slot: UInt8 = 1, lsn: LSN, isFull: Bool = false, _ samples: [MetricSample]
        ) -> MetricSeries {
            writer.beginSection(slot: slot, lsn: lsn, isFull: isFull)
            for sample in samples {
                let key = SeriesKey(family: sample.family, labels: sample.labels)
                sets[key] = writer.write(sample, sets[key] ?? SeriesSet())
            }
            _ = writer.endSection()
            defer { begins = false }
            return MetricSeries(
                process: "function.0", incarnation: incarnation, begins: begins, sections: writer.take())
        }
    }

    private static func samples(_ value: Double) -> [MetricSample] {
        [Make.events(value), Make.calls(value / 4, pid: 7), Make.active(-value, pid: 7)]
    }

    private static func up(_ store: inout MetricStore, incarnation: UInt64 = 1) throws {
        try store.apply(MetricSnapshot(process: "function.0", incarnation: incarnation, pid: 1))
    }

    @Test func aValueFollowsItsDefinition() throws {
        var store = MetricStore()
        try Self.up(&store)
        var teller = Teller()
        let first = teller.message(lsn: 1, isFull: true, Self.samples(1))
        let second = teller.message(lsn: 2, Self.samples(10))
        #expect(!second.sections.contains(UInt8(ascii: "h")))
        #expect(try store.apply(first))
        #expect(try store.apply(second))
        let reading = store.reading()
        #expect(reading.writtenEvents == 10)
        #expect(reading.value(.functionCallsTotal, ["h", "7", "pid-7", "f"]) == .counter(2.5))
        #expect(reading.value(.activeFunctions, ["h", "7", "pid-7"]) == .gauge(-10))
    }

    @Test func aStoreThatMissedTheBeginningAsks() throws {
        var store = MetricStore()
        try Self.up(&store)
        var teller = Teller()
        let first = teller.message(lsn: 1, isFull: true, Self.samples(1))
        let second = teller.message(lsn: 2, Self.samples(10) + [Make.calls(1, pid: 8)])
        let third = teller.message(lsn: 3, [Make.calls(2, pid: 8)])
        #expect(try !store.apply(second))
        #expect(try store.apply(first))
        #expect(try !store.apply(third), "the definition was lost")
    }

    @Test func anOlderIncarnationSaysNothing() throws {
        var store = MetricStore()
        try Self.up(&store, incarnation: 2)
        var old = Teller(incarnation: 1)
        var new = Teller(incarnation: 2)
        #expect(try store.apply(new.message(lsn: 5, isFull: true, Self.samples(5))))
        #expect(try store.apply(old.message(lsn: 9, isFull: true, Self.samples(9))))
        #expect(store.reading().writtenEvents == 5)
    }

    /// What a replaying worker defines it may go on with once it has caught up.
    @Test func definitionsOfAReplayCount() throws {
        var store = MetricStore()
        try Self.up(&store)
        var before = Teller()
        _ = try store.apply(before.message(lsn: 50, isFull: true, Self.samples(5)))
        try Self.up(&store, incarnation: 2)
        var after = Teller(incarnation: 2)
        let late = Make.calls(3, pid: 9)
        #expect(try store.apply(after.message(lsn: 10, isFull: true, Self.samples(1) + [late])))
        #expect(store.reading().writtenEvents == 5)
        #expect(store.reading().value(.functionCallsTotal, late.labels) == nil, "not known to be there at LSN 50")
        #expect(try store.apply(after.message(lsn: 60, Self.samples(6) + [late])))
        #expect(store.reading().writtenEvents == 6)
        #expect(store.reading().value(.functionCallsTotal, late.labels) == .counter(3))
    }

    /// A store saved between two messages understands the second one.
    @Test func idsAreSavedToo() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 1, held: 3))
        try Self.up(&store)
        var teller = Teller()
        let more = [Make.calls(2, pid: 8), Make.calls(3, pid: 9)]
        #expect(try store.apply(teller.message(lsn: 1, isFull: true, Self.samples(4) + more)))
        var copy = try MetricStore(decoding: store.encoded())
        let next = teller.message(lsn: 2, Self.samples(8) + [Make.calls(7, pid: 8), more[1]])
        #expect(try store.apply(next))
        #expect(try copy.apply(next))
        for process in ["function.0"] {
            store.declareDown(process)
            copy.declareDown(process)
        }
        let page = Exposition.render(store.reading(), .trace, .text, now: 0)
        #expect(Exposition.render(copy.reading(), .trace, .text, now: 0) == page)
        let text = String(decoding: page, as: UTF8.self)
        #expect(text.contains("process=\"other\",function=\"other\"} 7\n"))
        #expect(text.contains("kind=\"series_dropped\"} 1\n"))
    }

    /// Wrong bytes are refused; what they say is bounded.
    @Test func damagedMessagesDoNoHarm() throws {
        var teller = Teller()
        let duration = MetricSample(
            family: .functionDurationSeconds, labels: ["h", "7", "pid-7", "f"],
            value: .histogram(buckets: [UInt64](repeating: 3, count: 11), sum: 0.5))
        let good = teller.message(lsn: 1, isFull: true, Self.samples(4) + [duration])
        var random = SeededGenerator(seed: 7)
        for length in good.sections.indices {
            var cut = good
            cut.sections = Array(good.sections[..<length])
            try Self.expectHarmless(cut)
        }
        for _ in 0..<3_000 {
            var changed = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: changed.sections.indices, using: &random)
                changed.sections[at] = .random(in: 0...255, using: &random)
            }
            try Self.expectHarmless(changed)
        }
    }

    private static func expectHarmless(_ series: MetricSeries) throws {
        var store = MetricStore()
        do { _ = try store.apply(series) } catch { #expect(error.code == .corrupt) }
        let page = Exposition.render(store.reading(), .trace, .text, now: 0)
        _ = try MetricStore(decoding: store.encoded())
        #expect(!page.isEmpty)
    }

    /// Tables grow and shrink with what is told, and a page shows just what is.
    @Test func seriesThatComeAndGoLeaveNothingBehind() throws {
        var store = MetricStore()
        try Self.up(&store)
        var random = SeededGenerator(seed: 11)
        var teller = Teller()
        for round in 1...60 {
            let pids = Set((0..<200).map { _ in Int.random(in: 0..<400, using: &random) })
            // Each time other ids, as of a worker that begins anew.
            teller.sets = [:]
            let samples = pids.map { Make.calls(Double($0), pid: $0, function: "f\($0 % 7)") }
            #expect(try store.apply(teller.message(lsn: LSN(round), isFull: true, samples)))
            let shown = store.reading().family(.functionCallsTotal)?.series ?? []
            #expect(shown.count == pids.count)
            let expected = samples.map(\.labels).sorted { $0.lexicographicallyPrecedes($1) }
            #expect(shown.map(\.labels) == expected)
        }
    }
}
