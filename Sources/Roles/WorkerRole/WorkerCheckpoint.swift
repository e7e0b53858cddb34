import ClusterMessages
import IngestLog
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

// Checkpoint file
// ===============
//
// `checkpoints/<worker>.checkpoint`, a `MirroredFile`. Its body, little-endian: version u32, then the fields of
// `WorkerCheckpoint` in their order (the LSN first, which `CheckpointPosition` reads), `renewed` last (version 4 ends
// without it; up to version 5 each number of a function took eight bytes). It describes the worker as of `lsn`: every
// record below is applied, its rows are in the segments up to the recorded lengths, and those bytes are on the disk.
//
// A checkpoint is reported (the router trims by it, the aggregator merges) only after both copies are durable. So a
// copy that is one checkpoint older than the other is usable too: segments only grow, and are truncated to its lengths.

/// Slots that a barrier gave to this worker and whose state it has not taken in yet.
struct GainedSlots {
    /// The LSN after the barrier.
    let lsn: LSN
    let slots: [UInt8]
}

/// The state from which a worker continues after a restart.
struct WorkerCheckpoint {
    private static let version = StateVersion.current
    private static let versionBeforePacking: UInt32 = 5
    private static let versionBeforeRenewal: UInt32 = 4

    let lsn: LSN
    let windowBegin: LSN
    let window: UInt64
    /// Slots gained at a barrier whose state is still in hand-over files; nil if there are none.
    let gained: GainedSlots?
    /// Owners of the resource's slots.
    let owners: [UInt16]
    /// Windows that were announced and are not known to be merged.
    let announcements: [SegmentsClosed]
    /// Text of the anomaly rules in force; empty for the defaults.
    var rules: [UInt8]
    /// The worker's events below this LSN were set aside, because its saved state was unusable; 0 if that never
    /// happened.
    var renewed: LSN = 0

    /// Writes the checkpoint with the state of `slots` and the lengths of the segments. All rows must have been flushed
    /// and synced before. Blocks until both copies are durable.
    func publish(for worker: WorkerName, processor: any TraceProcessor, slots: [UInt8]) throws {
        try CheckpointPosition.file(of: worker).publish { writer in
            try encodeHead(into: &writer.body, files: processor.files)
            writer.body.append(integer: UInt16(slots.count))
            for slot in slots {
                writer.body.append(byte: slot)
                processor.saveState(slot: slot, into: &writer.body)
                try writer.drain()
            }
            writer.body.append(integer: renewed)
        }
    }

    private func encodeHead(into body: inout RawBuffer, files: TraceFileManager) throws {
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
        var offsets = RawBuffer()
        files.saveOffsets(into: &offsets)
        body.append(counted: offsets)
    }

    /// The start of a checkpoint, read without its state and checksum.
    struct Head {
        let lsn: LSN
        /// Owners of the resource's slots; empty if the checkpoint is blank.
        private var owners: [UInt16] = []

        /// Returns nil if there is no checkpoint, or it cannot be read. Blocks; O(1).
        init?(of worker: WorkerName) {
            let size = MirroredFile.headBytes + 4 + 4 * 8 + 2 + Slot.count + 2 * Slot.count
            var bytes = [UInt8](repeating: 0, count: size)
            guard let file = try? File(ClusterPaths.checkpoint(of: worker), .read),
                (try? unsafe bytes.withUnsafeMutableBytes({
                    try unsafe file.read(into: $0, at: 0)
                })) != nil,
                let head = try? unsafe bytes.withUnsafeBytes({ try unsafe Head(decoding: $0) })
            else { return nil }
            self = head
        }

        private init(decoding bytes: UnsafeRawBufferPointer) throws {
            var reader = unsafe StateReader(bytes)
            _ = try unsafe reader.bytes(MirroredFile.headBytes)
            let version = try reader.integer(UInt32.self)
            lsn = try reader.integer(UInt64.self)
            guard version != CheckpointPosition.blankVersion else { return }
            // The window's start and number, and the barrier that slots were gained at.
            _ = try unsafe reader.bytes(3 * 8)
            _ = try unsafe reader.bytes(Int(try reader.integer(UInt16.self)))
            for _ in 0..<Slot.count { owners.append(try reader.integer(UInt16.self)) }
        }

        /// Returns whether `worker`, whose checkpoint this is, has a slot or waits for it. One that begins anew may.
        func has(_ slot: UInt8, _ worker: WorkerName) -> Bool {
            owners.isEmpty || owners[Int(slot)] == UInt16(worker.index)
        }
    }

    /// Returns the slots that the worker owns.
    func ownedSlots(of worker: WorkerName) -> [UInt8] {
        owners.indices.filter { owners[$0] == UInt16(worker.index) }.map { UInt8($0) }
    }

    /// Reads the worker's checkpoint and loads its state into the processor; returns nil if there is none. If a copy
    /// has to be rewritten, `repair` is called with the damage (nil if the copy was only older) and a function that
    /// rewrites it, which it has to call. Blocks.
    /// - Throws: `TraceError(.corrupt)` if both copies are damaged or the segments do not fit the checkpoint.
    static func restore(
        for worker: WorkerName,
        into processor: any TraceProcessor,
        repair: (_ damage: String?, _ write: () throws -> Void) throws -> Void
    ) throws -> WorkerCheckpoint? {
        let file = CheckpointPosition.file(of: worker)
        guard let content = try file.read(remedy: CheckpointPosition.remedy(for: worker)) else {
            return nil
        }
        if content.needsRepair {
            try repair(content.damage) { try file.repair(content) }
        } else {
            // The process that wrote them may have been killed before the directory was synced.
            try FileSystem.syncDirectory(ClusterPaths.checkpoints)
        }
        return try content.withBody { reader in try decode(&reader, of: worker, into: processor) }
    }

    /// Loads the state of a window's kept checkpoint into a processor whose files are in another directory; they are
    /// copied from the worker's own. Returns nil if no checkpoint was kept. Blocks.
    /// - Throws: `TraceError(.corrupt)` if it is damaged.
    static func restoreKept(
        _ window: WorkerWindow,
        into processor: any TraceProcessor
    ) throws -> WorkerCheckpoint? {
        let file = MirroredFile(ClusterPaths.keptCheckpoint(of: window))
        return try file.read(remedy: "").map { content in
            try content.withBody { reader in
                try decode(&reader, of: window.worker, into: processor, copyingSegmentsFrom: "")
            }
        }
    }

    private static func decode(
        _ reader: inout StateReader,
        of worker: WorkerName,
        into processor: any TraceProcessor,
        copyingSegmentsFrom original: String? = nil
    ) throws -> WorkerCheckpoint {
        let version = try reader.integer(UInt32.self)
        switch version {
        case CheckpointPosition.blankVersion: return try blank(from: &reader, processor)
        case versionBeforeRenewal, versionBeforePacking, StateVersion.beforeDialects,
            StateVersion.beforeHosts, Self.version:
            reader.version = max(version, StateVersion.beforeDialects)
            var checkpoint = try state(
                from: &reader,
                processor,
                copyingSegmentsFrom: original,
                damaged: damaged(worker)
            )
            if version > versionBeforeRenewal {
                checkpoint.renewed = try reader.integer(UInt64.self)
            }
            return checkpoint
        default: throw damaged(worker)
        }
    }

    private static func blank(
        from reader: inout StateReader,
        _ processor: any TraceProcessor
    ) throws -> WorkerCheckpoint {
        let lsn = try reader.integer(UInt64.self)
        let renewed = try reader.integer(UInt64.self)
        try processor.files.restore(from: nil)
        return WorkerCheckpoint(
            lsn: lsn,
            windowBegin: 0,
            window: 0,
            gained: nil,
            owners: [],
            announcements: [],
            rules: [],
            renewed: renewed
        )
    }

    private static func state(
        from reader: inout StateReader,
        _ processor: any TraceProcessor,
        copyingSegmentsFrom original: String?,
        damaged: TraceError
    ) throws -> WorkerCheckpoint {
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
            let bytes = try unsafe reader.counted()
            guard case .segmentsClosed(let closed) = try unsafe ClusterMessage(decoding: bytes)
            else {
                throw damaged
            }
            announcements.append(closed)
        }
        let rules = unsafe Array(try reader.counted())
        try unsafe processor.files.restore(
            from: ByteView(try reader.counted()),
            copyingFrom: original
        )
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

    private static func damaged(_ worker: WorkerName) -> TraceError {
        TraceError(
            .corrupt,
            "\(ClusterPaths.checkpoint(of: worker)) is damaged, or another version's",
            remedy: CheckpointPosition.remedy(for: worker)
        )
    }
}
