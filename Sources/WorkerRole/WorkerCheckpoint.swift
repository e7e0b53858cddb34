import ClusterMessages
import IngestLog
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

// Checkpoint file
// ===============
//
// `checkpoints/<worker>.checkpoint`, replaced as a whole (temporary file, sync, rename, sync of the
// directory). Little-endian: magic "TRCK", CRC-32C of all that follows u32, version u32, then the fields of
// `WorkerCheckpoint` in their order. It describes the worker as of `lsn`: every record below is applied, its
// rows lie in the segments up to the recorded lengths, and those bytes are on the disk.

/// What a worker needs to go on from where it was.
struct WorkerCheckpoint {
    private static let magic: UInt32 = 0x4B43_5254
    private static let version: UInt32 = 2

    let lsn: LSN
    let windowBegin: LSN
    let window: UInt64
    /// Slots whose state another worker holds ready and has not been taken in yet; nil where there are
    /// none.
    let gained: GainedSlots?
    /// The owners of the resource's slots.
    let owners: [UInt16]
    /// Windows announced and not known to be merged.
    let announcements: [SegmentsClosed]
    /// The text of the anomaly rules in force; empty for the defaults.
    let rules: [UInt8]

    /// Writes the checkpoint with the state of `slots` and the offsets of the files. Rows must have been
    /// flushed and synced before. Blocks until it is durable.
    func publish(
        for worker: WorkerName,
        processor: any TraceProcessor,
        slots: [UInt8]
    ) throws {
        var body = RawBuffer(capacity: 64 << 10)
        body.append(integer: Self.version)
        body.append(integer: lsn)
        body.append(integer: windowBegin)
        body.append(integer: window)
        body.append(integer: gained?.lsn ?? .max)
        body.append(integer: UInt16(gained?.slots.count ?? 0))
        for slot in gained?.slots ?? [] { body.append(byte: slot) }
        for owner in owners { body.append(integer: owner) }
        body.append(integer: UInt32(announcements.count))
        for announcement in announcements {
            body.append(counted: try ClusterMessage.segmentsClosed(announcement).encode())
        }
        body.append(counted: rules)
        var files = RawBuffer()
        processor.files.saveOffsets(into: &files)
        body.append(counted: files)
        body.append(integer: UInt16(slots.count))
        for slot in slots {
            body.append(byte: slot)
            processor.saveState(slot: slot, into: &body)
        }
        try Self.publish(body, at: ClusterPaths.checkpoint(of: worker))
    }

    /// Reads the worker's checkpoint and puts its state into the processor; nil where there is none.
    /// - Throws: `TraceError(.corrupt)` where it is damaged or the segments don't fit it.
    static func restore(
        for worker: WorkerName,
        into processor: any TraceProcessor
    ) throws -> WorkerCheckpoint? {
        let path = ClusterPaths.checkpoint(of: worker)
        guard FileSystem.exists(path) else { return nil }
        return try withBody(of: path) { reader in
            guard try reader.integer(UInt32.self) == version else { throw damaged(path) }
            let lsn = try reader.integer(UInt64.self)
            let windowBegin = try reader.integer(UInt64.self)
            let window = try reader.integer(UInt64.self)
            let gainedAt = try reader.integer(UInt64.self)
            var gainedSlots: [UInt8] = []
            for _ in 0..<(try reader.integer(UInt16.self)) {
                gainedSlots.append(try reader.integer(UInt8.self))
            }
            var owners: [UInt16] = []
            for _ in 0..<Slot.count { owners.append(try reader.integer(UInt16.self)) }
            var announcements: [SegmentsClosed] = []
            for _ in 0..<(try reader.integer(UInt32.self)) {
                let bytes = try reader.counted()
                guard case .segmentsClosed(let closed) = try ClusterMessage(decoding: bytes) else {
                    throw damaged(path)
                }
                announcements.append(closed)
            }
            let rules = Array(try reader.counted())
            try processor.files.restore(from: ByteView(try reader.counted()))
            for _ in 0..<(try reader.integer(UInt16.self)) {
                let slot = try reader.integer(UInt8.self)
                try processor.loadState(slot: slot, from: &reader)
            }
            return WorkerCheckpoint(
                lsn: lsn,
                windowBegin: windowBegin,
                window: window,
                gained: gainedAt == .max ? nil : GainedSlots(lsn: gainedAt, slots: gainedSlots),
                owners: owners,
                announcements: announcements,
                rules: rules
            )
        }
    }

    // MARK: The envelope, which hand-over files share

    static func publish(_ body: borrowing RawBuffer, at path: String) throws {
        var file = RawBuffer(capacity: body.count + 16)
        file.append(integer: magic)
        file.append(integer: Checksum.crc32c(body.bytes))
        file.append(body.bytes)
        try FileSystem.publish(path, file.bytes)
    }

    static func withBody<Result>(
        of path: String,
        _ read: (inout StateReader) throws -> Result
    ) throws -> Result {
        let bytes = try FileSystem.contents(path)
        return try bytes.withUnsafeBytes { bytes in
            var head = StateReader(bytes)
            guard bytes.count >= 8, try head.integer(UInt32.self) == magic else {
                throw damaged(path)
            }
            let body = UnsafeRawBufferPointer(rebasing: bytes[8...])
            guard try head.integer(UInt32.self) == Checksum.crc32c(body) else {
                throw damaged(path)
            }
            var reader = StateReader(body)
            return try read(&reader)
        }
    }

    static func damaged(_ path: String) -> TraceError {
        TraceError(
            .corrupt,
            "\(path) is damaged",
            remedy: "Remove it to replay the log as far back as it reaches"
        )
    }
}
