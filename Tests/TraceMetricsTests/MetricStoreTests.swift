import Testing
import TraceMetrics
import TraceModel

@Suite struct MetricStoreTests {
    typealias Make = SampleFactory

    @Test func countersOfSlotsAndWorkersAreSummed() throws {
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

    @Test func aReplayingWorkerNeverDecreasesACounter() throws {
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

    /// A worker without state counts from 0, and its counters are added to those it reported before, however often it
    /// says that it started anew and whatever older values it repeats.
    @Test func aRenewedWorkerAddsToItsEarlierCounters() throws {
        var store = MetricStore()
        let calls = Make.calls(5, pid: 3)
        try store.apply(
            Make.snapshot(slots: [
                Make.slot(1, lsn: 90, [Make.events(9), calls]),
                Make.slot(2, lsn: 70, [Make.events(2)]),
            ])
        )
        try store.apply(
            Make.snapshot("function.1", slots: [Make.slot(3, lsn: 90, [Make.events(30)])])
        )
        func expect(_ events: UInt64, _ count: Double) {
            let reading = store.reading()
            #expect(reading.writtenEvents == events)
            #expect(reading.value(.eventsTotal, ["function"]) == .counter(Double(events)))
            #expect(reading.value(.functionCallsTotal, calls.labels) == .counter(count))
        }
        expect(41, 5)
        for (incarnation, lsn, events) in [(2, 50, 0.0), (3, 80, 0), (3, 95, 0), (4, 120, 4)] {
            var reported = Make.snapshot(
                incarnation: UInt64(incarnation),
                slots: [
                    Make.slot(1, lsn: LSN(lsn), [Make.events(events), Make.calls(events, pid: 3)]),
                    Make.slot(2, lsn: LSN(lsn), []),
                ]
            )
            reported.renewedLSN = 100
            try store.apply(reported)
            store = try MetricStore(decoding: store.encoded())
            expect(41 + UInt64(events), 5 + events)
        }
    }

    /// The state of a slot that moved is gone: what its old owner counted stays, and the new one counts from zero.
    @Test(arguments: [true, false]) func aRenewedWorkerAddsToTheCountersOfSlotsItWasGiven(
        isRenewed: Bool
    ) throws {
        var store = MetricStore()
        let calls = Make.calls(5, pid: 3)
        try store.apply(
            Make.snapshot(
                "function.1",
                slots: [
                    Make.slot(1, lsn: 90, [Make.events(9), calls]),
                    Make.slot(2, lsn: 95, [Make.events(2)]),
                ]
            )
        )
        for (lsn, events) in [(LSN(80), 0.0), (100, 0), (120, 4), (130, 6)] {
            var reported = Make.snapshot(slots: [
                Make.slot(1, lsn: lsn, [Make.events(events), Make.calls(events, pid: 3)])
            ])
            reported.renewedLSN = isRenewed ? 100 : 0
            try store.apply(reported)
            store = try MetricStore(decoding: store.encoded())
            let reading = store.reading()
            // A worker that has taken in the state reports what it says.
            let before: Double = isRenewed || lsn < 90 ? 9 : 0
            #expect(reading.writtenEvents == UInt64(events + before) + 2)
            let count: Double = isRenewed || lsn < 90 ? 5 : 0
            #expect(reading.value(.functionCallsTotal, calls.labels) == .counter(events + count))
        }
    }

    @Test func aLostWorkerIsShownUntilItIsUp() throws {
        var store = MetricStore()
        let worker = WorkerName(resource: .function, index: 0)
        let link = WorkerLink(worker: worker, connected: false, lagBytes: 8)
        try store.apply(
            MetricSnapshot(
                process: MetricSnapshot.router,
                incarnation: 1,
                pid: 1,
                router: RouterStatus(workers: [link])
            )
        )
        #expect(store.reading().value(.workerLost, ["function.0"]) == .gauge(0))
        store.lost = [worker: "damaged"]
        #expect(store.reading().value(.workerLost, ["function.0"]) == .gauge(1))
        #expect(store.statusReading().workers.map(\.lost) == ["damaged"])
        try store.apply(Make.snapshot())
        #expect(store.statusReading().workers.map(\.lost) == [nil])
    }

    @Test func aDeltaKeepsOtherSeries() throws {
        var store = MetricStore()
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 1, [Make.events(1), Make.calls(5, pid: 3)])])
        )
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 2, full: false, [Make.events(2)])]))
        let reading = store.reading()
        #expect(reading.writtenEvents == 2)
        #expect(reading.value(.functionCallsTotal, ["h", "3", "pid-3", "f"]) == .counter(5))
    }

    @Test func seriesMissingInAFullSectionAreRemovedAndCounted() throws {
        var store = MetricStore()
        let gone = Make.calls(5, pid: 3)
        let stays = Make.calls(6, pid: 4)
        let elsewhere = Make.calls(7, pid: 5)
        try store.apply(
            Make.snapshot(slots: [
                Make.slot(1, lsn: 1, [gone, stays]), Make.slot(2, lsn: 1, [elsewhere]),
            ])
        )
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 2, [stays])]))
        var reading = store.reading()
        #expect(reading.value(.functionCallsTotal, gone.labels) == nil)
        #expect(reading.value(.functionCallsTotal, elsewhere.labels) == .counter(7))
        #expect(reading.family(.functionCallsTotal)?.count == 2)
        #expect(reading.value(.errorsTotal, ["series_expired"]) == .counter(1))
        // A worker that replays cannot say which series are gone.
        try store.apply(
            Make.snapshot(incarnation: 2, slots: [Make.slot(1, lsn: 1, [gone, stays])])
        )
        #expect(store.reading().family(.functionCallsTotal)?.count == 2)
        // The series may come back and starts at the worker's value.
        try store.apply(
            Make.snapshot(incarnation: 2, slots: [Make.slot(1, lsn: 3, [Make.calls(1, pid: 3)])])
        )
        reading = store.reading()
        #expect(reading.value(.functionCallsTotal, gone.labels) == .counter(1))
        #expect(reading.value(.functionCallsTotal, stays.labels) == nil)
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

    @Test func aDeadWorkersGaugesDisappearAndItsCountersStay() throws {
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
        #expect(reading.value(.functionCallsTotal, ["h", "3", "pid-3", "f"]) == .counter(5))
        #expect(reading.value(.workerUp, ["function.0"]) == .gauge(0))
        #expect(reading.workers.first?.pid == nil)
        // A successor that is still replaying must not bring the old gauges back.
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
        // A delayed message of the worker must not count twice.
        try store.apply(Make.snapshot("function.1", own: [Make.processing(3, sum: 1)]))
        var reading = store.reading()
        #expect(
            reading.value(.batchProcessingSeconds, ["function"]) == Make.processing(3, sum: 1).value
        )
        #expect(reading.workers.map { "\($0.name)" } == ["function.0"])
        try store.apply(
            Make.snapshot("function.1", incarnation: 2, own: [Make.processing(1, sum: 1)])
        )
        reading = store.reading()
        #expect(
            reading.value(.batchProcessingSeconds, ["function"]) == Make.processing(4, sum: 2).value
        )
    }

    @Test func seriesBeyondTheLimitFoldIntoOtherAndStayThere() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 2))
        let samples = (1...4).map { Make.calls(Double($0), pid: $0) }
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 1, samples)]))
        let other = [String](repeating: MetricLabel.other, count: 4)
        var reading = store.reading()
        #expect(reading.value(.functionCallsTotal, other) == .counter(7))
        #expect(reading.family(.functionCallsTotal)?.series.count == 3)
        #expect(reading.value(.errorsTotal, ["series_overflow"]) == .counter(2))
        // A folded series that expires leaves its count; only an exposed one makes room for a new series.
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 2, [samples[1], samples[2]])]))
        try store.apply(
            Make.snapshot(slots: [Make.slot(1, lsn: 3, full: false, [Make.calls(8, pid: 8)])])
        )
        reading = store.reading()
        #expect(reading.value(.functionCallsTotal, other) == .counter(7))
        #expect(reading.value(.functionCallsTotal, ["h", "8", "pid-8", "f"]) == .counter(8))
        #expect(reading.value(.functionCallsTotal, samples[0].labels) == nil)
    }

    @Test func samplesOfTheWrongShapeAreRefused() throws {
        var store = MetricStore(limits: SeriesLimits(held: 0))
        let samples = [
            MetricSample(family: .eventsTotal, labels: ["cpu"], value: .counter(.nan)),
            Make.events(1),
            Make.calls(1, pid: 1), Make.calls(1, pid: 2),
        ]
        try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 1, samples)]))
        let reading = store.reading()
        #expect(reading.family(.eventsTotal)?.series.map(\.labels) == [["function"]])
        #expect(reading.family(.functionCallsTotal) == nil)
        #expect(reading.value(.errorsTotal, ["sample_refused"]) == .counter(1))
        #expect(reading.value(.errorsTotal, ["series_dropped"]) == .counter(2))
        #expect(throws: TraceError.self) { try store.apply(Make.snapshot("nobody")) }
        let derived = MetricSample(
            family: .neutracerTracesTotal,
            labels: ["cpu"],
            value: .counter(1)
        )
        let long = Make.events(1, resource: String(repeating: "x", count: 257))
        for wrong in [derived, long] {
            #expect(throws: TraceError.self) {
                try store.apply(Make.snapshot(slots: [Make.slot(1, lsn: 2, [wrong])]))
            }
        }
    }
}
