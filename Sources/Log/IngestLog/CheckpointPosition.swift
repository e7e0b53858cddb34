import SystemIO
package import TraceModel

// The head of a checkpoint's body: version u32, LSN u64. Version 0 is a blank checkpoint, which the router writes for a
// worker without a usable one: after the LSN it contains only the LSN up to which the worker's events are set aside.

/// Reads the LSN of a worker's checkpoint without decoding its state.
package enum CheckpointPosition {
    package static let blankVersion: UInt32 = 0

    /// Returns the worker's checkpoint file.
    package static func file(of worker: WorkerName) -> MirroredFile {
        MirroredFile(ClusterPaths.checkpoint(of: worker))
    }

    /// Returns advice for a worker that cannot continue from its saved state.
    package static func remedy(for worker: WorkerName) -> String {
        "`tracectl skip \(worker) --to LSN` sets aside what it has not published and lets it begin anew;"
            + " then start it: `scripts/cluster restart \(worker)`"
    }

    /// Returns the LSN; nil if there is no checkpoint. Blocks; O(its size).
    /// - Throws: `TraceError(.corrupt)` if it is damaged, `SystemError` if it cannot be read.
    package static func read(of worker: WorkerName) throws -> LSN? {
        try file(of: worker).read(remedy: remedy(for: worker))?.withBody { reader in
            _ = try reader.integer(UInt32.self)
            return try reader.integer(UInt64.self)
        }
    }

    /// Returns the open window of the worker's checkpoint; nil if there is none that can be read, or it is blank.
    /// Blocks; O(its size).
    package static func window(of worker: WorkerName) -> UInt64? {
        try? file(of: worker).read(remedy: remedy(for: worker))?.withBody { reader in
            guard try reader.integer(UInt32.self) != blankVersion else { return nil }
            // The window follows the LSN and the window's start.
            _ = try unsafe reader.bytes(16)
            return try reader.integer(UInt64.self)
        }
    }

    /// Returns the LSN from the head of one copy, which may be damaged. Blocks; O(1).
    package static func glance(at worker: WorkerName) -> LSN? {
        var head = [UInt8](repeating: 0, count: MirroredFile.headBytes + 12)
        guard let file = try? File(ClusterPaths.checkpoint(of: worker), .read),
            let count = try? unsafe head.withUnsafeMutableBytes({
                try unsafe file.read(into: $0, at: 0)
            }),
            count == head.count
        else { return nil }
        return unsafe head.withUnsafeBytes {
            unsafe LSN(littleEndian: $0.loadUnaligned(fromByteOffset: count - 8, as: LSN.self))
        }
    }

    /// Writes a blank checkpoint: the worker starts without state at `begin`, and skips its events below `renewed`.
    /// Blocks until durable.
    package static func publishBlank(of worker: WorkerName, at begin: LSN, renewed: LSN) throws {
        try file(of: worker).publish { writer in
            writer.body.append(integer: blankVersion)
            writer.body.append(integer: begin)
            writer.body.append(integer: renewed)
        }
    }
}

/// Reads the LSNs of the workers' checkpoints.
package enum WorkerCheckpoints {
    /// Returns the LSNs of all workers that have a checkpoint; nil for one that cannot be read. A checkpoint whose LSN
    /// meets `isChecked` is read and verified as a whole. Blocks.
    package static func positions(where isChecked: (LSN) -> Bool) -> [WorkerName: LSN?] {
        let suffix = ".checkpoint"
        var positions: [WorkerName: LSN?] = [:]
        for entry in (try? FileSystem.list(ClusterPaths.checkpoints)) ?? [] {
            let name = MirroredFile.name(of: entry)
            guard name.hasSuffix(suffix),
                let worker = WorkerName(String(name.dropLast(suffix.count))),
                positions[worker] == nil
            else { continue }
            var position = CheckpointPosition.glance(at: worker)
            if position.map(isChecked) ?? true {
                position = try? CheckpointPosition.read(of: worker)
            }
            positions[worker] = .some(position)
        }
        return positions
    }
}

/// The number that distinguishes a process from earlier ones of the same name in the data directory. It increases with
/// each start, whatever the clock says. Stored in `checkpoints/<process>.incarnation`, a `MirroredFile` whose body is
/// the last number, u64. If the clock is ahead of the number, the clock's value is used, so that the loss of the file
/// matters only if the clock was set back too.
package enum Incarnation {
    /// Upper bound for the last number, which has to be able to increase.
    private static let latest: UInt64 = .max >> 1

    /// Takes the next number for `process`; no other process of that name may run. Blocks until it is durable, unless
    /// the disk is full. `seen` is a number known to have been used.
    /// - Throws: `SystemError` if the file cannot be read or written for another reason.
    package static func take(for process: String, after seen: UInt64 = 0) throws -> UInt64 {
        let file = MirroredFile(ClusterPaths.incarnation(of: process))
        let next = max(UInt64(WallClock.now()), max(try last(in: file), min(seen, latest)) + 1)
        do {
            try FileSystem.createDirectory(FileSystem.parent(of: file.path))
            try file.publish { writer in writer.body.append(integer: next) }
        } catch let error as SystemError where error.isOutOfSpace {
            // The next start could draw the same number only if the clock is set back by then.
        }
        return next
    }

    /// Returns 0 if there is no readable number.
    private static func last(in file: MirroredFile) throws -> UInt64 {
        do {
            let content = try file.read(remedy: "It is drawn anew")
            return try content?.withBody { min(try $0.integer(UInt64.self), latest) } ?? 0
        } catch let error as TraceError where error.code == .corrupt { return 0 }
    }
}
