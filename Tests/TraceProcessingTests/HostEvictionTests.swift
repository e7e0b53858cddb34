import Foundation
import SystemIO
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing

/// More hosts than a worker remembers: those not heard of for longest give way, with their processes, and nothing that
/// came is missing.
@Suite(.serialized) struct HostEvictionTests {
    private static let hosts = 40

    /// Of 40 hosts in turn, each some batches.
    private static func batches(_ resource: Resource) -> [ContractBatch] {
        var generator = EventGenerator(resource, seed: 31, processes: 6)
        return generator.batches(100, eventsMax: 12).enumerated().map { index, batch in
            of("host-\(index * 11 % 80 % hosts)", batch)
        }
    }

    private static func of(_ host: String, _ batch: ContractBatch) -> ContractBatch {
        var batch = batch
        batch.host = host
        for event in batch.events.indices { batch.events[event].host = host }
        return batch
    }

    private static func budget(_ hosts: Int) -> FileBudget {
        var budget = FileBudget()
        budget.hostsMax = hosts
        return budget
    }

    @Test(arguments: Resource.allCases) func aWorkerThatIsRestartedGivesUpTheSameHosts(
        _ resource: Resource
    ) throws {
        let batches = Self.batches(resource)
        let budget = Self.budget(16)
        let undisturbed = try ContractOutcome(resource, batches, budget: budget)
        let traces = undisturbed.files.keys.filter { $0.hasPrefix("output/json/") }
        #expect(traces.count == Self.hosts)
        for loss in [LossKind.hostEvicted, .processEvicted] {
            #expect(undisturbed.samples.contains { $0.contains(loss.rawValue) }, "\(loss)")
        }
        for step in [13, 40] {
            let directory = try ContractDirectory()
            var worker = try ContractWorker(resource, root: directory.path, budget: budget)
            for (index, batch) in batches.enumerated() {
                try worker.apply(batch)
                guard index % step == step - 1 else { continue }
                let checkpoint = try worker.checkpoint()
                // What comes behind the checkpoint is forgotten, and comes again.
                try worker.apply(batches[(index + 1)...].prefix(index % 5))
                worker = try ContractWorker(
                    resource,
                    root: directory.path,
                    checkpoint: checkpoint,
                    budget: budget
                )
            }
            let outcome = try ContractOutcome(of: [worker], in: directory)
            #expect(undisturbed.differences(from: outcome) == [], "every \(step) batches")
        }
    }

    @Test(arguments: Resource.allCases) func everyEventIsWrittenWhoeverGivesWay(
        _ resource: Resource
    ) throws {
        let batches = Self.batches(resource)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path, budget: Self.budget(2))
        try worker.apply(batches)
        let closed = try worker.finalize()
        let output = try directory.merge(resource, closed)
        let sent = batches.reduce(0) { $0 + $1.events.count }
        #expect(try output.records(resource).count == sent)
        #expect(worker.processor.totalTraces == UInt64(sent))
        #expect(worker.processor.processesGone > 0)
        let again = try ContractWorker(
            resource,
            root: directory.path,
            checkpoint: try worker.checkpoint()
        )
        #expect(again.state == worker.state)
    }

    /// One is heard of between all others: its trace is as if it were alone.
    @Test func hostsThatAreStillHeardOfKeepTheirState() throws {
        var generator = EventGenerator(.cpu, seed: 5, processes: 2)
        let own = generator.batches(60).map { Self.of("steady", $0) }
        func trace(guests: Int) throws -> Data {
            let directory = try ContractDirectory()
            let worker = try ContractWorker(.cpu, root: directory.path, budget: Self.budget(3))
            for (index, batch) in own.enumerated() {
                try worker.apply(batch)
                for guest in 0..<guests {
                    try worker.apply(Self.of("guest-\(index)-\(guest)", batch))
                }
            }
            let files = try directory.merge(.cpu, try worker.finalize()).files
            #expect(files.keys.filter { $0.hasSuffix(".json") }.count == 1 + guests * own.count)
            return try #require(files.first { $0.key.hasSuffix("_steady.json") }).value
        }
        #expect(try trace(guests: 0) == trace(guests: 2))
    }
}
