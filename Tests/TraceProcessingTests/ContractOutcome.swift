import Foundation
import TraceFiles
import TraceModel
import TraceProcessing

/// What is left of batches once a window is merged: the final files, the state, the metrics.
struct ContractOutcome: Codable {
    var files: [String: Data]
    var state: [UInt8: [UInt8]]
    var samples: [String]

    /// Of one worker that was never disturbed.
    init(_ resource: Resource, _ batches: [ContractBatch], budget: FileBudget = FileBudget()) throws
    {
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path, budget: budget)
        try worker.apply(batches)
        try self.init(of: [worker], in: directory)
    }

    /// Of workers, each with the slots that it owns; ends their window.
    init(
        of workers: [ContractWorker],
        in directory: ContractDirectory,
        window: UInt64 = 7,
        owner: (UInt8) -> Int = { _ in 0 }
    ) throws {
        let closed = try workers.flatMap { try $0.finalize() }
        let resource = workers[0].processor.resource
        files = try directory.merge(
            resource,
            closed,
            window: window,
            summaries: workers.map(\.summary)
        ).files
        state = [:]
        for slot in 0...UInt8.max { state[slot] = workers[owner(slot)].state(of: slot) }
        samples = workers.flatMap(\.samples).sorted()
    }

    /// What is not the same, by name.
    func differences(from other: ContractOutcome) -> [String] {
        var found: [String] = []
        for name in Set(files.keys).union(other.files.keys).sorted()
        where files[name] != other.files[name] {
            found.append(name)
        }
        for slot in 0...UInt8.max where state[slot] != other.state[slot] {
            found.append("slot \(slot)")
        }
        let samples = Set(samples)
        found += samples.symmetricDifference(other.samples).sorted().prefix(8)
        return found
    }
}
