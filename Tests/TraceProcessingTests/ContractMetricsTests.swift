import Testing
import TraceMetrics
import TraceModel
import TraceProcessing

/// What every processor says about what it has seen.
@Suite struct ContractMetricsTests {
    /// Changes put together are what a full account says.
    @Test(arguments: Resource.allCases) func changesAddUpToTheWhole(_ resource: Resource) throws {
        var generator = EventGenerator(resource, seed: 31)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let listener = SeriesListener()
        var known: [UInt8: [SeriesKey: MetricValue]] = [:]
        for batch in generator.batches(30) {
            try worker.apply(batch)
            for slot in try listener.collect(worker.processor, all: false, lsn: batch.lsn) {
                #expect(slot.lsn == batch.lsn)
                if slot.isFull { known[slot.slot] = [:] }
                for sample in slot.samples {
                    #expect(sample.isWellFormed, "\(sample)")
                    let key = SeriesKey(family: sample.family, labels: sample.labels)
                    known[slot.slot, default: [:]][key] = sample.value
                }
            }
            #expect(worker.processor.slotsToCollect(all: false).isEmpty)
        }
        var count = 0
        for slot in worker.processor.allSamples(lsn: worker.lsn) {
            #expect(slot.isFull)
            let keys = slot.samples.map { SeriesKey(family: $0.family, labels: $0.labels) }
            #expect(Set(keys).count == keys.count, "a series is reported twice")
            for (key, sample) in zip(keys, slot.samples) {
                #expect(known[slot.slot]?[key] == sample.value, "\(sample)")
                count += 1
            }
        }
        #expect(count > 20)
    }

    @Test(arguments: Resource.allCases) func eventsAreCountedByResource(_ resource: Resource) throws
    {
        var generator = EventGenerator(resource, seed: 32)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let batches = generator.batches(10)
        try worker.apply(batches)
        let counted = worker.processor.allSamples(lsn: 1).flatMap(\.samples).filter {
            $0.family == .eventsTotal
        }
        .reduce(0) { sum, sample in
            guard case .counter(let value) = sample.value else { return sum }
            return sum + value
        }
        #expect(counted == Double(batches.reduce(0) { $0 + $1.events.count }))
        let own = worker.processor.ownSamples()
        #expect(own.allSatisfy(\.isWellFormed) && !own.isEmpty)
        for sample in own {
            guard case .histogram(let buckets, _) = sample.value else { continue }
            #expect(buckets.reduce(0, +) == UInt64(batches.count))
        }
    }

    @Test(arguments: Resource.allCases) func timestampsThatSayNothingAreCounted(
        _ resource: Resource
    ) throws {
        var generator = EventGenerator(resource, seed: 33)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let arrival = EventGenerator.start + 77_000
        let texts = ["yesterday", "", "2025-13-01 00:00:00", "1760000000", "-1"]
        let events = texts.map { generator.event(pid: 9, time: arrival, timestamp: $0) }
        let host = EventGenerator.hosts[0]
        try worker.apply(ContractBatch(host: host, events: events, arrival: arrival, lsn: 1))
        let counted = worker.processor.allSamples(lsn: 1).flatMap(\.samples).first {
            $0.family == .timestampsInvalidTotal
        }
        #expect(counted?.value == .counter(3))
        let output = try directory.merge(resource, try worker.finalize())
        let times = try output.records(resource).compactMap { $0["ts"] as? Int }.sorted()
        let start = Int(EventGenerator.start / 1_000)
        #expect(times == [start] + [Int](repeating: start + 77, count: 4))
    }
}
