import Testing
import TraceMetrics
import TraceModel

/// More series than are shown, or than there is room for.
@Suite struct SeriesLimitTests {
    typealias Make = SampleFactory

    private static let other = [String](repeating: MetricLabel.other, count: 4)

    private static func duration(_ count: UInt64, pid: Int, function: String = "f") -> MetricSample
    {
        var buckets = [UInt64](repeating: 0, count: MetricBounds.functionSeconds.count + 1)
        buckets[3] = count
        return MetricSample(
            family: .functionDurationSeconds,
            labels: ["h", "\(pid)", "pid-\(pid)", function],
            value: .histogram(buckets: buckets, sum: Double(count) / 4)
        )
    }

    private static func counts(_ reading: MetricReading) -> [[String]: UInt64] {
        let series = reading.family(.functionDurationSeconds)?.series ?? []
        return Dictionary(
            uniqueKeysWithValues: series.map { series in
                guard case .histogram(let buckets, let sum) = series.value else {
                    return (series.labels, 0)
                }
                #expect(Double(buckets.reduce(0, +)) / 4 == sum)
                return (series.labels, buckets.reduce(0, +))
            }
        )
    }

    private static func total(_ reading: MetricReading, _ family: MetricFamily) -> Double {
        (reading.family(family)?.series ?? []).reduce(0) { sum, series in
            switch series.value {
            case .counter(let value), .gauge(let value): sum + value
            case .histogram(let buckets, _): sum + Double(buckets.reduce(0, +))
            }
        }
    }

    // MARK: No room

    /// However many processes there are, written events are counted.
    @Test func slotCountersAreAcceptedAtTheSeriesLimit() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 1, held: 2))
        let calls = (1...4).map { Make.calls(1, pid: $0) }
        for slot in UInt8(1)...5 {
            let samples = calls + [Make.events(Double(slot))]
            try store.apply(
                Make.snapshot("function.\(slot)", slots: [Make.slot(slot, lsn: 9, samples)])
            )
        }
        let reading = store.reading()
        #expect(reading.writtenEvents == 15)
        #expect(reading.value(.eventsTotal, ["function"]) == .counter(15))
        #expect(reading.value(.errorsTotal, ["series_dropped"]) == .counter(18))
    }

    @Test func slotCountersAreReportedWhenIDsRunOut() throws {
        var writer = SeriesWriter(idsMax: Limits.slotSeriesIDs + 2)
        writer.begin()
        writer.beginSection(slot: 3, lsn: 1, isFull: true)
        for pid in 1...4 { _ = writer.write(Make.calls(1, pid: pid), SeriesSet()) }
        let leftOut = writer.leftOut
        #expect(leftOut == 2)
        writer.begin(SeriesSet(), count: 1, isOfSlot: true)
        writer.add(.eventsTotal, 7, ["function"])
        _ = writer.end()
        let isComplete = writer.endSection()
        #expect(isComplete)
        let isOutOfIDs = writer.isOutOfIDs
        #expect(!isOutOfIDs)
        var store = MetricStore()
        let isJoined = try store.apply(
            MetricSeries(
                process: "function.0",
                incarnation: 1,
                begins: true,
                sections: writer.take()
            )
        )
        #expect(isJoined)
        #expect(store.reading().writtenEvents == 7)
    }

    /// If a worker dies within a slot that takes several messages, its successor's first message, which is also a
    /// partial one, must be accepted.
    @Test func aPartialSlotMayFollowOneOfAnotherIncarnation() throws {
        var store = MetricStore()
        func part(_ incarnation: UInt64, _ events: Double) -> MetricSeries {
            var reported = Make.snapshot(
                incarnation: incarnation,
                slots: [Make.slot(1, lsn: LSN(incarnation), [Make.events(events)])]
            ).series
            reported.sections[1] = 0  // Neither full nor complete.
            return reported
        }
        for incarnation in UInt64(1)...3 {
            try store.apply(Make.snapshot(incarnation: incarnation).snapshot)
            #expect(try store.apply(part(incarnation, Double(incarnation))))
            #expect(store.reading().writtenEvents == incarnation)
        }
    }

    @Test func hiddenGaugesTakeNoRoom() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 2, held: 4))
        let gauges = (1...9).map { Make.active(1, pid: $0) }
        let calls = (1...2).map { Make.calls(1, pid: $0) }
        var reported = Make.snapshot(slots: [Make.slot(1, lsn: 1, gauges + calls)])
        try store.apply(reported)
        let reading = store.reading()
        #expect(reading.family(.activeFunctions)?.count == 2)
        #expect(reading.family(.functionCallsTotal)?.count == 2)
        #expect(reading.value(.errorsTotal, ["series_dropped"]) == .counter(0))
        #expect(reading.value(.errorsTotal, ["series_overflow"]) == .counter(7))
        // Removed series make room for others, once these are reported again.
        reported.slots = [Make.slot(1, lsn: 2, Array(gauges[5...]))]
        try store.apply(reported)
        reported.slots = [Make.slot(1, lsn: 3, Array(gauges[5...]))]
        try store.apply(reported)
        #expect(store.reading().family(.activeFunctions)?.count == 2)
    }

    // MARK: Histograms

    @Test func theFunctionsCalledMostHaveHistograms() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 2 * Limits.histogramSeriesDivisor))
        func report(_ counts: [UInt64], lsn: LSN) throws -> [[String]: UInt64] {
            let samples = counts.enumerated().map { Self.duration($1, pid: $0) }
            try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: lsn, samples)]))
            _ = store.chooseHistograms()
            let shown = Self.counts(store.reading())
            #expect(shown.values.reduce(0, +) == counts.reduce(0, +))
            return shown
        }
        func labels(_ pid: Int) -> [String] { ["h", "\(pid)", "pid-\(pid)", "f"] }
        var shown = try report([5, 5, 5, 5], lsn: 1)
        #expect(shown == [labels(0): 5, labels(1): 5, Self.other: 10])
        // Less than twice as many: nothing changes.
        shown = try report([5, 5, 9, 5], lsn: 2)
        #expect(shown == [labels(0): 5, labels(1): 5, Self.other: 14])
        // `other` keeps what it has counted.
        shown = try report([5, 6, 20, 5], lsn: 3)
        #expect(shown == [labels(1): 6, labels(2): 0, Self.other: 30])
        shown = try report([5, 6, 24, 6], lsn: 4)
        #expect(shown == [labels(1): 6, labels(2): 4, Self.other: 31])
        // A folded series brings its whole count.
        shown = try report([100, 6, 24, 90], lsn: 5)
        #expect(shown == [labels(0): 0, labels(3): 0, Self.other: 220])
        store = try MetricStore(decoding: store.encoded())
        shown = try report([101, 6, 24, 93], lsn: 6)
        #expect(shown == [labels(0): 1, labels(3): 3, Self.other: 220])
        // A free place is filled, and what `other` counted of a removed series stays.
        try store.apply(
            Make.snapshot(slots: [
                Make.slot(1, lsn: 7, [1, 2, 3].map { Self.duration([0, 6, 24, 93][$0], pid: $0) })
            ])
        )
        let isChanged = store.chooseHistograms()
        #expect(isChanged)
        #expect(Self.counts(store.reading()) == [labels(2): 0, labels(3): 3, Self.other: 220])
        let isChangedAgain = store.chooseHistograms()
        #expect(!isChangedAgain)
    }

    // MARK: Series that go

    /// After a function was evicted, its process's `other` counts its calls.
    @Test func callsOfAnEvictedFoldedFunctionCountOnce() throws {
        for isFolded in [true, false] {
            var store = MetricStore(limits: SeriesLimits(perFamily: 2))
            let heir = Make.calls(1, pid: 1, function: "other")
            let first = isFolded ? [] : [heir]
            let calls = (1...4).map { Make.calls(10, pid: 1, function: "f\($0)") }
            let samples = first + calls + (isFolded ? [heir] : [])
            try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 1, samples)]))
            #expect(Self.total(store.reading(), .functionCallsTotal) == 41)
            let folded = store.reading().value(.functionCallsTotal, Self.other)
            // f4 is evicted.
            let after = calls[..<3] + [Make.calls(11, pid: 1, function: "other")]
            try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 2, Array(after))]))
            let reading = store.reading()
            #expect(Self.total(reading, .functionCallsTotal) == 41)
            #expect(reading.value(.functionCallsTotal, Self.other) == folded)
            store = try MetricStore(decoding: store.encoded())
            #expect(Self.total(store.reading(), .functionCallsTotal) == 41)
            // The process disappears; what was folded of it stays.
            try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 3, [])]))
            #expect(store.reading().value(.functionCallsTotal, Self.other) == folded)
        }
    }

    @Test func aFoldedSeriesThatRestartsKeepsItsCount() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 1))
        func report(_ count: UInt64, lsn: LSN) throws {
            let samples =
                [Make.calls(1, pid: 1), Make.calls(Double(count), pid: 2)] + [
                    Self.duration(1, pid: 1), Self.duration(count, pid: 2),
                ]
            try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: lsn, samples)]))
        }
        for (index, count) in [UInt64(9), 4, 5].enumerated() {
            try report(count, lsn: LSN(index + 1))
            let sum = [9, 13, 14][index]
            let reading = store.reading()
            #expect(reading.value(.functionCallsTotal, Self.other) == .counter(Double(sum)))
            #expect(Self.counts(reading)[Self.other] == UInt64(sum))
        }
    }

    /// A quiet process with open calls is not shown. Its folded count continues when it becomes active.
    @Test func aQuietProcessIsCountedOnce() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 1))
        let shown = Make.calls(5, pid: 1)
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 1, [shown, Make.calls(3, pid: 2)])])
        )
        _ = try store.apply(Self.resting(1...2, lsn: 2))
        #expect(store.reading().value(.functionCallsTotal, shown.labels) == nil)
        #expect(store.reading().value(.functionCallsTotal, Self.other) == .counter(3))
        try store.apply(
            Make.snapshot(slots: [
                Make.slot(1, lsn: 3, [Make.calls(7, pid: 1), Make.calls(4, pid: 2)])
            ])
        )
        #expect(Self.total(store.reading(), .functionCallsTotal) == 11)
        #expect(store.reading().value(.functionCallsTotal, Self.other) == .counter(4))
    }

    private static func resting(_ pids: ClosedRange<UInt32>, lsn: LSN) -> MetricSeries {
        var writer = SeriesWriter()
        writer.begin()
        writer.beginSection(slot: 1, lsn: lsn, isFull: true)
        for pid in pids { writer.markQuiet(host: "h", pid: pid) }
        _ = writer.endSection()
        return MetricSeries(
            process: "function.0",
            incarnation: 1,
            begins: true,
            sections: writer.take()
        )
    }

    /// Also if `other` counts a part of what is shown.
    @Test func aQuietProcessWithAHistogramIsCountedOnce() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: Limits.histogramSeriesDivisor))
        func report(_ counts: [UInt64], lsn: LSN) throws {
            let samples = counts.enumerated().map { Self.duration($1, pid: $0 + 1) }
            try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: lsn, samples)]))
        }
        try report([5, 20], lsn: 1)
        _ = store.chooseHistograms()
        try report([5, 24], lsn: 2)
        #expect(Self.counts(store.reading())[Self.other] == 25)
        _ = try store.apply(Self.resting(1...2, lsn: 3))
        #expect(Self.counts(store.reading()) == [Self.other: 29])
        try report([6, 25], lsn: 4)
        #expect(Self.counts(store.reading()) == [Self.other: 31])
    }

    // MARK: Other limits

    @Test func changingTheLimitLosesNothing() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 30))
        let pids = 1...40
        let samples =
            pids.map { Make.calls(Double($0), pid: $0) }
            + pids.map { Self.duration(UInt64($0), pid: $0) }
            + pids.map { Make.active(1, pid: $0) }
        let reported = Make.snapshot(slots: [Make.slot(1, lsn: 1, samples)])
        try store.apply(reported)
        func expect(_ shown: Int) {
            let reading = store.reading()
            #expect(reading.family(.functionCallsTotal)?.count == shown + 1)
            #expect(reading.family(.functionDurationSeconds)?.count == 2)
            #expect(Self.total(reading, .functionCallsTotal) == 820)
            #expect(Self.total(reading, .functionDurationSeconds) == 820)
        }
        expect(30)
        let values = store.reading().family(.functionCallsTotal)?.series.map(\.labels) ?? []
        store.adopt(SeriesLimits(perFamily: 10))
        expect(10)
        #expect(store.reading().family(.activeFunctions)?.count == 10)
        let kept = store.reading().family(.functionCallsTotal)?.series.map(\.labels) ?? []
        #expect(Set(kept).isSubset(of: values))
        store.adopt(SeriesLimits(perFamily: 50))
        expect(10)
        // Gauges come back when they are reported again.
        try store.apply(reported)
        #expect(store.reading().family(.activeFunctions)?.count == 40)
    }

    /// A page has no more lines than its limit allows, in either set of names.
    @Test func pagesAreBounded() throws {
        let limit = 100
        var store = MetricStore(limits: SeriesLimits(perFamily: limit))
        var samples: [MetricSample] = []
        for number in 0..<2_000 {
            let (pid, function) = (number / 50, "f\(number)")
            samples.append(Make.calls(1, pid: pid, function: function))
            samples.append(Self.duration(1, pid: pid, function: function))
            for metric in ["avg_duration_us", "max_duration_seconds"] {
                samples.append(
                    MetricSample(
                        family: .neutracerFunctionStats,
                        labels: [function, "pid-\(pid)", metric],
                        value: .gauge(1)
                    )
                )
            }
        }
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 1, samples)]))
        let buckets = MetricBounds.functionSeconds.count + 3
        for (names, families) in [
            (MetricNames.trace, ["function_calls_total"]), (.neutracer, ["function_stats"]),
        ] {
            let page = Exposition.render(store.reading(), names, .text, now: 0)
            let lines = String(decoding: page, as: UTF8.self).split(separator: "\n")
            for family in families {
                let count = lines.filter { $0.contains("\(family){") }.count
                #expect(count >= limit && count <= limit + 1, "\(family)")
            }
            let durations = lines.filter { $0.contains("function_duration_seconds_") }.count
            #expect(durations == (limit / Limits.histogramSeriesDivisor + 1) * buckets)
        }
        #expect(try PromTool.check(Exposition.render(store.reading(), .all, .text, now: 0)).isEmpty)
    }
}
