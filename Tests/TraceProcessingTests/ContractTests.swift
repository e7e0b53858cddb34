import Foundation
import SystemIO
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

/// What every processor has to do, whatever its resource.
@Suite(.serialized) struct ContractTests {
    @Test(arguments: Resource.allCases) func everyEventIsCountedAndWrittenOnce(
        _ resource: Resource
    ) throws {
        var generator = EventGenerator(resource, seed: 1)
        let batches = generator.batches(30)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        #expect(worker.processor.resource == resource)
        var sent: [ContractEvent] = []
        for batch in batches {
            #expect(try worker.apply(batch) == batch.events.count)
            sent += batch.events
            #expect(worker.processor.totalTraces == UInt64(sent.count))
        }
        let output = try directory.merge(resource, try worker.finalize())

        let records = try output.records(resource)
        let found = records.map { "\($0["ts"] ?? "none") \($0["pid"] ?? "none")" }
        #expect(found.sorted() == sent.map { "\($0.time / 1_000) \($0.pid)" }.sorted())
        for record in records {
            #expect(record["name"] is String && record["tid"] is Int && record["args"] != nil)
            #expect((record["readable_time"] as? String)?.count == 12)
        }

        let rows = output.rows()
        if resource == .function {
            let exits = sent.filter(\.isFunctionExit)
            #expect(rows.count == exits.count && !rows.isEmpty, "a row an exit")
        } else {
            let keys = rows.map { "\($0["Timestamp(ns)"] ?? "") \($0["PID"] ?? "")" }
            #expect(keys.sorted() == sent.map { "\($0.time) \($0.pid)" }.sorted())
        }
        let columns = Self.columns(of: resource)
        for row in rows {
            #expect(
                Set(row.keys) == Set(columns) && EventGenerator.hosts.contains(row["host"] ?? "")
            )
        }
    }

    @Test(arguments: Resource.allCases) func anEmptyBatchLeavesNothing(_ resource: Resource) throws
    {
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let empty = ContractBatch(host: "beta", events: [], arrival: 1, lsn: 1)
        #expect(try worker.apply(empty) == 0)
        #expect(worker.processor.totalTraces == 0)
        #expect(worker.processor.allSamples(lsn: 1).isEmpty)
        #expect(try worker.finalize().isEmpty)
    }

    @Test(arguments: Resource.allCases) func anotherResourcesEventsAreNotTouched(
        _ resource: Resource
    ) throws {
        let other = try #require(Resource.allCases.first { $0 != resource })
        var generator = EventGenerator(other, seed: 1)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        #expect(try worker.apply(generator.batches(1)[0]) == 0)
        #expect(try worker.finalize().isEmpty)
    }

    /// Within a batch events may come in any order of time.
    @Test(arguments: Resource.allCases, [3, 4] as [UInt64]) func aBatchIsSortedByTime(
        _ resource: Resource,
        seed: UInt64
    ) throws {
        var generator = EventGenerator(resource, seed: seed)
        let batches = generator.batches(12)
        let sorted = batches.map { $0.reordered { $0.sort { $0.time < $1.time } } }
        var random = EventRandom(seed: seed)
        let shuffled = batches.map { $0.reordered { $0.shuffle(using: &random) } }
        let expected = try ContractOutcome(resource, sorted)
        #expect(expected.differences(from: try ContractOutcome(resource, shuffled)) == [])
        // The comparison can fail: without batches there is nothing to sort.
        let apart = shuffled.flatMap { batch in
            batch.events.map { event in batch.reordered { $0 = [event] } }
        }
        #expect(expected.differences(from: try ContractOutcome(resource, apart)) != [])
    }

    /// Events of one time keep the order in which they were sent.
    @Test(arguments: Resource.allCases) func theSortIsStable(_ resource: Resource) throws {
        var generator = EventGenerator(resource, seed: 5)
        let time = EventGenerator.start
        let events = (0..<60).map { _ in generator.event(pid: 3, time: time) }
        let host = EventGenerator.hosts[0]
        // Unsorted, so that the batch really is sorted.
        let first = generator.event(pid: 3, time: time - 5_000_000)
        let together = [ContractBatch(host: host, events: events + [first], arrival: time, lsn: 1)]
        let apart = ([first] + events).map {
            ContractBatch(host: host, events: [$0], arrival: time, lsn: 1)
        }
        let expected = try ContractOutcome(resource, apart)
        #expect(expected.differences(from: try ContractOutcome(resource, together)) == [])
    }

    @Test(arguments: Resource.allCases) func theSameBatchesGiveTheSameBytes(
        _ resource: Resource
    ) throws {
        func segments() throws -> [String: Data] {
            var generator = EventGenerator(resource, seed: 6)
            let directory = try ContractDirectory()
            let worker = try ContractWorker(resource, root: directory.path)
            try worker.apply(generator.batches(20))
            _ = try worker.finalize()
            return try directory.contents()
        }
        let first = try segments()
        #expect(first.count > 1)
        #expect(try segments() == first)
    }

    @Test(arguments: Resource.allCases) func aSmallBufferChangesNothing(_ resource: Resource) throws
    {
        var generator = EventGenerator(resource, seed: 7)
        let batches = generator.batches(20)
        var small = FileBudget()
        small.runFlushBytes = 3_000
        small.runBufferBytesMax = 20_000
        small.runHoldbackNanoseconds = 2_000_000
        let expected = try ContractOutcome(resource, batches)
        let actual = try ContractOutcome(resource, batches, budget: small)
        #expect(expected.differences(from: actual) == [])
    }

    private static func columns(of resource: Resource) -> [String] {
        let header = "\(ProcessorRegistry.csvHeader(of: resource))"
        return header.split(separator: ",").map(String.init)
    }
}
