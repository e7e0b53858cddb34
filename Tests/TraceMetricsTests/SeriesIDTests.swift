import Testing
import TraceMetrics
import TraceModel

/// Series that are identified by ids over several messages.
@Suite struct SeriesIDTests {
    typealias Make = SampleFactory

    /// A worker that remembers which series it has defined.
    private struct Reporter: ~Copyable {
        var writer = SeriesWriter()
        var sets: [SeriesKey: SeriesSet] = [:]
        var begins = true
        let incarnation: UInt64

        init(incarnation: UInt64 = 1) {
            self.incarnation = incarnation
            writer.begin()
        }

        mutating func message(
            slot: UInt8 = 1,
            lsn: LSN,
            isFull: Bool = false,
            _ samples: [MetricSample]
        ) -> MetricSeries {
            writer.beginSection(slot: slot, lsn: lsn, isFull: isFull)
            for sample in samples {
                let key = SeriesKey(family: sample.family, labels: sample.labels)
                sets[key] = writer.write(sample, sets[key] ?? SeriesSet())
            }
            _ = writer.endSection()
            defer { begins = false }
            return MetricSeries(
                process: "function.0",
                incarnation: incarnation,
                begins: begins,
                sections: writer.take()
            )
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
        var reporter = Reporter()
        let first = reporter.message(lsn: 1, isFull: true, Self.samples(1))
        let second = reporter.message(lsn: 2, Self.samples(10))
        #expect(!second.sections.contains(UInt8(ascii: "h")))
        #expect(try store.apply(first))
        #expect(try store.apply(second))
        let reading = store.reading()
        #expect(reading.writtenEvents == 10)
        #expect(reading.value(.functionCallsTotal, ["h", "7", "pid-7", "f"]) == .counter(2.5))
        #expect(reading.value(.activeFunctions, ["h", "7", "pid-7"]) == .gauge(-10))
    }

    @Test func aStoreThatMissedADefinitionRequestsIt() throws {
        var store = MetricStore()
        try Self.up(&store)
        var reporter = Reporter()
        let first = reporter.message(lsn: 1, isFull: true, Self.samples(1))
        let second = reporter.message(lsn: 2, Self.samples(10) + [Make.calls(1, pid: 8)])
        let third = reporter.message(lsn: 3, [Make.calls(2, pid: 8)])
        #expect(try !store.apply(second))
        #expect(try store.apply(first))
        #expect(try !store.apply(third), "the definition was lost")
    }

    @Test func anOlderIncarnationIsIgnored() throws {
        var store = MetricStore()
        try Self.up(&store, incarnation: 2)
        var old = Reporter(incarnation: 1)
        var new = Reporter(incarnation: 2)
        #expect(try store.apply(new.message(lsn: 5, isFull: true, Self.samples(5))))
        #expect(try store.apply(old.message(lsn: 9, isFull: true, Self.samples(9))))
        #expect(store.reading().writtenEvents == 5)
    }

    /// A worker may continue to use definitions that it sent while replaying.
    @Test func definitionsSentDuringAReplayCount() throws {
        var store = MetricStore()
        try Self.up(&store)
        var before = Reporter()
        _ = try store.apply(before.message(lsn: 50, isFull: true, Self.samples(5)))
        try Self.up(&store, incarnation: 2)
        var after = Reporter(incarnation: 2)
        let late = Make.calls(3, pid: 9)
        #expect(try store.apply(after.message(lsn: 10, isFull: true, Self.samples(1) + [late])))
        #expect(store.reading().writtenEvents == 5)
        #expect(
            store.reading().value(.functionCallsTotal, late.labels) == nil,
            "not known to be there at LSN 50"
        )
        #expect(try store.apply(after.message(lsn: 60, Self.samples(6) + [late])))
        #expect(store.reading().writtenEvents == 6)
        #expect(store.reading().value(.functionCallsTotal, late.labels) == .counter(3))
    }

    /// A store that is saved between two messages understands the second one.
    @Test func idsAreSavedToo() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 1, held: 3))
        try Self.up(&store)
        var reporter = Reporter()
        let more = [Make.calls(2, pid: 8), Make.calls(3, pid: 9)]
        #expect(try store.apply(reporter.message(lsn: 1, isFull: true, Self.samples(4) + more)))
        var copy = try MetricStore(decoding: store.encoded())
        let next = reporter.message(lsn: 2, Self.samples(8) + [Make.calls(7, pid: 8), more[1]])
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

    /// Malformed messages are refused, and their effect is bounded.
    @Test func malformedMessagesAreRefused() throws {
        var reporter = Reporter()
        let duration = MetricSample(
            family: .functionDurationSeconds,
            labels: ["h", "7", "pid-7", "f"],
            value: .histogram(buckets: [UInt64](repeating: 3, count: 11), sum: 0.5)
        )
        let good = reporter.message(lsn: 1, isFull: true, Self.samples(4) + [duration])
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

    /// Tables grow and shrink with the reported series, and a page shows exactly these.
    @Test func removedSeriesLeaveNothingBehind() throws {
        var store = MetricStore()
        try Self.up(&store)
        var random = SeededGenerator(seed: 11)
        var reporter = Reporter()
        for round in 1...60 {
            let pids = Set((0..<200).map { _ in Int.random(in: 0..<400, using: &random) })
            // New ids each time, as from a worker that starts anew.
            reporter.sets = [:]
            let samples = pids.map { Make.calls(Double($0), pid: $0, function: "f\($0 % 7)") }
            #expect(try store.apply(reporter.message(lsn: LSN(round), isFull: true, samples)))
            let shown = store.reading().family(.functionCallsTotal)?.series ?? []
            #expect(shown.count == pids.count)
            let expected = samples.map(\.labels).sorted { $0.lexicographicallyPrecedes($1) }
            #expect(shown.map(\.labels) == expected)
        }
    }
}
