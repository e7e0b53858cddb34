import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

/// The same log gives the same files, whatever the number of workers that share it.
@Suite(.serialized) struct DeterminismTests {
    private static func outcome(
        _ resource: Resource,
        _ batches: [ContractBatch],
        workers count: Int
    ) throws -> ContractOutcome {
        let directory = try ContractDirectory()
        let workers = try (0..<count).map {
            try ContractWorker(resource, index: $0, root: directory.path)
        }
        for batch in batches {
            for (index, worker) in workers.enumerated() {
                try worker.apply(batch.share { Int($0) % count == index })
            }
        }
        #expect(workers.allSatisfy { $0.processor.totalTraces > 0 })
        return try ContractOutcome(of: workers, in: directory) { Int($0) % count }
    }

    @Test(
        arguments: Resource.allCases,
        [EventGenerator.Style.ordinary, EventGenerator.Style.absurd]
    )
    func theNumberOfWorkersDoesNotShow(_ resource: Resource, _ style: EventGenerator.Style) throws {
        var generator = EventGenerator(resource, seed: 21, style: style, processes: 60)
        let batches = generator.batches(40)
        let one = try Self.outcome(resource, batches, workers: 1)
        #expect(one.files.keys.contains { $0.hasPrefix("output/json/") })
        #expect(one.files.keys.contains { $0.hasPrefix("output/csv/") })
        #expect(one.files.keys.contains { $0.hasPrefix("output/summary/") })
        if resource == .memory || resource == .network {
            #expect(one.files.keys.contains { $0.hasPrefix("output/anomalies/") })
        }
        for count in [1, 2, 5] {
            let other = try Self.outcome(resource, batches, workers: count)
            let names = Set(one.files.keys).union(other.files.keys)
            let different = names.filter { one.files[$0] != other.files[$0] }
            #expect(different.sorted() == [], "\(count) workers")
        }
        // The comparison can fail: a batch less shows.
        let fewer = try Self.outcome(resource, Array(batches.dropLast()), workers: 1)
        for kind in ["json", "summary"] {
            let names = one.files.keys.filter { $0.hasPrefix("output/\(kind)/") }
            #expect(names.contains { fewer.files[$0] != one.files[$0] })
        }
    }

    private static let styles: [EventGenerator.Style] = [.ordinary, .absurd]

    private static func batches(
        _ resource: Resource,
        _ style: EventGenerator.Style
    ) -> [ContractBatch] {
        var generator = EventGenerator(resource, seed: 22, style: style, processes: 20)
        return generator.batches(12)
    }

    /// Tables are keyed by the data directory's secret; nothing that is written shows which one.
    @Test func theSecretDoesNotShow() async throws {
        let directory = try ContractDirectory()
        await #expect(processExitsWith: .success) { [path = directory.path as String] in
            NameHash.key(with: Array(101...116))
            for resource in Resource.allCases {
                for (index, style) in DeterminismTests.styles.enumerated() {
                    let batches = DeterminismTests.batches(resource, style)
                    let outcome = try ContractOutcome(resource, batches)
                    try JSONEncoder().encode(outcome).write(
                        to: URL(filePath: "\(path)/\(resource.name)\(index)")
                    )
                }
            }
        }
        for resource in Resource.allCases {
            for (index, style) in Self.styles.enumerated() {
                let here = try ContractOutcome(resource, Self.batches(resource, style))
                let data = try Data(
                    contentsOf: URL(filePath: "\(directory.path)/\(resource.name)\(index)")
                )
                let there = try JSONDecoder().decode(ContractOutcome.self, from: data)
                #expect(!here.files.isEmpty && !here.samples.isEmpty)
                #expect(here.differences(from: there) == [], "\(resource.name), \(style)")
            }
        }
    }
}
