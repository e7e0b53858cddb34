import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

/// The state of slots on its way from one worker to another: a file for each pair of them, written by the
/// old owner before its checkpoint at the barrier, removed by the new one after its next checkpoint.
struct Handover {
    let resource: Resource
    /// The end of the barrier that moved the slots.
    let lsn: LSN

    private static let directory = "\(ClusterPaths.checkpoints)/handover"

    private func path(from old: Int, to new: Int) -> String {
        "\(Self.directory)/\(resource.name).\(lsn).\(old)-\(new)"
    }

    /// Writes the slots that `old` gives to `new`. Blocks until durable.
    func give(
        _ slots: [UInt8],
        from old: Int,
        to new: Int,
        processor: any TraceProcessor
    ) throws {
        try FileSystem.createDirectory(Self.directory)
        var body = RawBuffer(capacity: 64 << 10)
        body.append(integer: UInt16(slots.count))
        for slot in slots { body.append(byte: slot) }
        for slot in slots { processor.saveState(slot: slot, into: &body) }
        try WorkerCheckpoint.publish(body, at: path(from: old, to: new))
    }

    /// The files that hold slots for `new`.
    private func files(for new: Int) throws -> [String] {
        try FileSystem.list(Self.directory)
            .filter { $0.hasPrefix("\(resource.name).\(lsn).") && $0.hasSuffix("-\(new)") }
            .map { "\(Self.directory)/\($0)" }
    }

    /// Takes in all the slots that `new` has gained; their files stay until `remove`. False, and nothing
    /// is taken, where an old owner has not written its file yet.
    func take(_ slots: [UInt8], by new: Int, into processor: any TraceProcessor) throws -> Bool {
        let files = try files(for: new)
        var present: Set<UInt8> = []
        for file in files {
            try WorkerCheckpoint.withBody(of: file) { reader in
                for _ in 0..<(try reader.integer(UInt16.self)) {
                    present.insert(try reader.integer(UInt8.self))
                }
            }
        }
        guard present.isSuperset(of: slots) else { return false }
        try processor.files.beginEpoch(order: lsn)
        for file in files {
            try WorkerCheckpoint.withBody(of: file) { reader in
                let count = Int(try reader.integer(UInt16.self))
                let slots = try (0..<count).map { _ in try reader.integer(UInt8.self) }
                for slot in slots { try processor.loadState(slot: slot, from: &reader) }
            }
        }
        return true
    }

    /// Removes what `take` has read, once a checkpoint holds it.
    func remove(for new: Int) throws {
        for file in try files(for: new) { try FileSystem.remove(file) }
    }
}
