import SystemIO
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
        for slot in slots {
            body.append(byte: slot)
            processor.saveState(slot: slot, into: &body)
        }
        try WorkerCheckpoint.publish(body, at: path(from: old, to: new))
    }

    /// The files that hold slots for `new`.
    func files(for new: Int) throws -> [String] {
        try FileSystem.list(Self.directory)
            .filter { $0.hasPrefix("\(resource.name).\(lsn).") && $0.hasSuffix("-\(new)") }
            .map { "\(Self.directory)/\($0)" }
    }

    /// Takes in the slots of one file.
    static func take(_ path: String, into processor: any TraceProcessor) throws {
        try WorkerCheckpoint.withBody(of: path) { reader in
            for _ in 0..<(try reader.integer(UInt16.self)) {
                let slot = try reader.integer(UInt8.self)
                try processor.loadState(slot: slot, from: &reader)
            }
        }
    }
}
