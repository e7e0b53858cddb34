import Foundation
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing

/// Whatever agents send, the files open and the metrics are taken.
@Suite(.serialized) struct ContractHostileTests {
    @Test(arguments: Resource.allCases, [21, 22, 23] as [UInt64]) func absurdValuesSpoilNothing(
        _ resource: Resource,
        seed: UInt64
    ) throws {
        var generator = EventGenerator(resource, seed: seed, style: .absurd)
        try expectWhole(resource, generator.batches(10))
    }

    @Test(arguments: Resource.allCases) func namesOfAMegabyteAreCut(_ resource: Resource) throws {
        var generator = EventGenerator(resource, seed: 24, style: .huge)
        let batches = generator.batches(3, eventsMax: 3)
        #expect(batches.contains { $0.bytes.count > Limits.stringFieldBytesMax })
        try expectWhole(resource, batches)
    }

    private func expectWhole(_ resource: Resource, _ batches: [ContractBatch]) throws {
        let sent = batches.reduce(0) { $0 + $1.events.count }
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        try worker.apply(batches)
        let checkpoint = try worker.checkpoint()
        let again = try ContractWorker(resource, root: directory.path, checkpoint: checkpoint)
        #expect(again.state == worker.state)
        for sample in worker.processor.allSamples(lsn: 1).flatMap(\.samples) {
            #expect(sample.isWellFormed, "\(sample)")
        }
        let output = try directory.merge(resource, try again.finalize())
        #expect(try output.records(resource).count == sent)
        let header = "\(ProcessorRegistry.csvHeader(of: resource))"
        let columns = Set(header.split(separator: ",").map(String.init))
        let rows = output.rows()
        #expect(resource == .function || rows.count == sent)
        for row in rows {
            #expect(Set(row.keys) == columns)
            // What was repaired in a name is three bytes long.
            #expect(row.values.allSatisfy { $0.utf8.count <= 3 * Limits.nameBytesMax })
        }
        let problems = try ContractTraceCheck.problems(in: output.traces)
        #expect(problems == nil)
    }

    @Test(arguments: Resource.allCases) func viewersTakeEveryTrace(_ resource: Resource) throws {
        var generator = EventGenerator(resource, seed: 25)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        for window in UInt64(7)...8 {
            try worker.apply(generator.batches(15))
            let output = try directory.merge(resource, try worker.finalize(), window: window)
            #expect(output.traces.count == EventGenerator.hosts.count)
            let problems = try ContractTraceCheck.problems(in: output.traces)
            #expect(problems == nil)
        }
    }
}
