import Testing
import TraceMetrics
import TraceModel

@Suite struct MetricStoreTests {
    typealias Make = SampleFactory

    @Test func countersOfSlotsAndWorkersAddUp() throws {
        var store = MetricStore()
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 10, [Make.events(3)])]))
        try store.apply(
            Make.snapshot("function.1", slots: [Make.slot(2, lsn: 10, [Make.events(4)])])
        )
        let reading = store.reading()
        #expect(reading.value(.eventsTotal, ["function"]) == .counter(7))
        #expect(reading.value(.writtenEventsTotal) == .counter(7))
        #expect(reading.writtenEvents == 7)
    }

    @Test func aReplayingWorkerNeverTakesACounterBack() throws {
        var store = MetricStore()
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 90, [Make.events(9)])]))
        for lsn in stride(from: LSN(10), through: 80, by: 10) {
            try store.apply(
                Make.snapshot(
                    incarnation: 2,
                    slots: [Make.slot(1, lsn: lsn, [Make.events(Double(lsn / 10))])]
                )
            )
            #expect(store.reading().writtenEvents == 9)
        }
        try store.apply(
            Make.snapshot(incarnation: 2, slots: [Make.slot(1, lsn: 100, [Make.events(10)])])
        )
        #expect(store.reading().writtenEvents == 10)
    }

    @Test func aDeltaKeepsWhatItDoesNotName() throws {
        var store = MetricStore()
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 1, [Make.events(1), Make.calls(5, pid: 3)])])
        )
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 2, full: false, [Make.events(2)])])
        )
        let reading = store.reading()
        #expect(reading.writtenEvents == 2)
        #expect(
            reading.value(.functionCallsTotal, ["h", "3", "pid-3", "f"]) == .counter(5)
        )
    }

    @Test func expiredSeriesGoAndAreCounted() throws {
        var store = MetricStore()
        let gone = Make.calls(5, pid: 3)
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 1, [gone, Make.calls(6, pid: 4)])])
        )
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 2, full: false, [], expired: [gone])])
        )
        var reading = store.reading()
        #expect(reading.value(.functionCallsTotal, gone.labels) == nil)
        #expect(reading.family(.functionCallsTotal)?.series.count == 1)
        #expect(reading.value(.errorsTotal, ["series_expired"]) == .counter(1))
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 3, [Make.events(1)])]))
        reading = store.reading()
        #expect(reading.family(.functionCallsTotal) == nil)
        #expect(reading.value(.errorsTotal, ["series_expired"]) == .counter(2))
    }

    @Test func ownSamplesSumOverIncarnations() throws {
        var store = MetricStore()
        try store.apply(Make.snapshot(own: [Make.processing(3, sum: 1)]))
        try store.apply(Make.snapshot(own: [Make.processing(5, sum: 2)]))
        try store.apply(Make.snapshot(own: [Make.processing(4, sum: 1.5)]))
        try store.apply(Make.snapshot(incarnation: 2, own: [Make.processing(2, sum: 0.5)]))
        try store.apply(Make.snapshot(incarnation: 1, own: [Make.processing(9, sum: 9)]))
        let reading = store.reading()
        #expect(
            reading.value(.batchProcessingSeconds, ["function"])
                == Make.processing(7, sum: 2.5).value
        )
        #expect(reading.value(.errorsTotal, ["worker_restart"]) == .counter(1))
    }

    @Test func aDeadWorkersGaugesGoAndItsCountersStay() throws {
        var store = MetricStore()
        let slot = Make.slot(1, lsn: 5, [Make.calls(5, pid: 3), Make.active(2, pid: 3)])
        try store.apply(Make.routerSnapshot(workers: ["function.0"]))
        try store.apply(Make.snapshot(slots: [slot]))
        #expect(store.reading().value(.activeFunctions, ["h", "3", "pid-3"]) == .gauge(2))
        #expect(store.reading().value(.workerUp, ["function.0"]) == .gauge(1))
        let wasUp = store.declareDown("function.0")
        #expect(wasUp)
        var reading = store.reading()
        #expect(reading.family(.activeFunctions) == nil)
        #expect(
            reading.value(.functionCallsTotal, ["h", "3", "pid-3", "f"]) == .counter(5)
        )
        #expect(reading.value(.workerUp, ["function.0"]) == .gauge(0))
        #expect(reading.workers.first?.pid == nil)
        // A successor that is still replaying does not bring the old gauges back.
        try store.apply(Make.snapshot(incarnation: 2, slots: [Make.slot(1, lsn: 2, [])]))
        #expect(store.reading().family(.activeFunctions) == nil)
        try store.apply(Make.snapshot(incarnation: 2, slots: [slot]))
        reading = store.reading()
        #expect(reading.value(.activeFunctions, ["h", "3", "pid-3"]) == .gauge(2))
    }

    @Test func aRetiredWorkersTotalsStay() throws {
        var store = MetricStore()
        try store.apply(Make.routerSnapshot(workers: ["function.0", "function.1"]))
        try store.apply(Make.snapshot("function.1", own: [Make.processing(3, sum: 1)]))
        store.declareDown("function.1")
        try store.apply(Make.routerSnapshot(workers: ["function.0"]))
        // A message of its that was under way must not count twice.
        try store.apply(Make.snapshot("function.1", own: [Make.processing(3, sum: 1)]))
        var reading = store.reading()
        #expect(
            reading.value(.batchProcessingSeconds, ["function"])
                == Make.processing(3, sum: 1).value
        )
        #expect(reading.workers.map { "\($0.name)" } == ["function.0"])
        try store.apply(
            Make.snapshot("function.1", incarnation: 2, own: [Make.processing(1, sum: 1)])
        )
        reading = store.reading()
        #expect(
            reading.value(.batchProcessingSeconds, ["function"])
                == Make.processing(4, sum: 2).value
        )
    }

    @Test func seriesBeyondTheLimitFoldIntoOtherAndStayThere() throws {
        var store = MetricStore(seriesPerFamilyMax: 2)
        let samples = (1...4).map { Make.calls(Double($0), pid: $0) }
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 1, samples)]))
        let other = [String](repeating: MetricLabel.other, count: 4)
        var reading = store.reading()
        #expect(reading.value(.functionCallsTotal, other) == .counter(7))
        #expect(reading.family(.functionCallsTotal)?.series.count == 3)
        #expect(reading.value(.errorsTotal, ["series_overflow"]) == .counter(2))
        // A folded series that expires leaves its count; an exposed one makes room for a new one only.
        try store.apply(
            Make.snapshot(
                slots: [Make.slot(1, lsn: 2, full: false, [], expired: [samples[0], samples[3]])]
            )
        )
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 3, full: false, [Make.calls(8, pid: 8)])])
        )
        reading = store.reading()
        #expect(reading.value(.functionCallsTotal, other) == .counter(7))
        #expect(
            reading.value(.functionCallsTotal, ["h", "8", "pid-8", "f"]) == .counter(8)
        )
    }

    @Test func samplesThatDoNotFitTheirFamilyAreRefused() throws {
        var store = MetricStore(seriesHeldMax: 1)
        let wrong = [
            MetricSample(family: .eventsTotal, labels: [], value: .counter(1)),
            MetricSample(family: .eventsTotal, labels: ["cpu"], value: .gauge(1)),
            MetricSample(family: .eventsTotal, labels: ["cpu"], value: .counter(.nan)),
            MetricSample(
                family: .eventsTotal,
                labels: [String(repeating: "x", count: 257)],
                value: .counter(1)
            ),
            MetricSample(family: .neutracerTracesTotal, labels: ["cpu"], value: .counter(1)),
            MetricSample(
                family: .ioLatencySeconds,
                labels: ["h", "1", "p", "read"],
                value: .histogram(buckets: [1], sum: 1)
            ),
        ]
        let fitting = [Make.events(1), Make.events(1, resource: "cpu")]
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 1, wrong + fitting)]))
        let reading = store.reading()
        #expect(reading.family(.eventsTotal)?.series.count == 1)
        #expect(reading.value(.errorsTotal, ["sample_refused"]) == .counter(7))
        #expect(throws: TraceError.self) { try store.apply(Make.snapshot("nobody")) }
    }
}
