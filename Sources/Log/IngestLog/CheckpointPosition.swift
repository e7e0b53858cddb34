import SystemIO
package import TraceModel

// The head of a checkpoint's body: version u32, LSN u64. Version 0 is a blank one, which a router writes for a
// worker whose own is of no use any more: behind the LSN stands only the one up to which its events are set
// aside.

/// How far a worker's checkpoint reaches, for those that know no more of it than its head.
package enum CheckpointPosition {
    package static let blankVersion: UInt32 = 0

    package static func file(of worker: WorkerName) -> MirroredFile {
        MirroredFile(ClusterPaths.checkpoint(of: worker))
    }

    /// What a person can do where a worker cannot go on from what it has saved.
    package static func remedy(for worker: WorkerName) -> String {
        "`tracectl skip \(worker) --to LSN` sets aside what it has not published and lets it begin anew;"
            + " then start it: `scripts/cluster restart \(worker)`"
    }

    /// Nil where there is no checkpoint. Blocks; O(its size).
    /// - Throws: `TraceError(.corrupt)` where it is damaged, `SystemError` where it cannot be read.
    package static func read(of worker: WorkerName) throws -> LSN? {
        try file(of: worker).read(remedy: remedy(for: worker))?.withBody { reader in
            _ = try reader.integer(UInt32.self)
            return try reader.integer(UInt64.self)
        }
    }

    /// The open window of the worker's checkpoint; nil where there is none that can be read, or it is a blank one. Blocks;
    /// O(its size).
    package static func window(of worker: WorkerName) -> UInt64? {
        try? file(of: worker).read(remedy: remedy(for: worker))?.withBody { reader in
            guard try reader.integer(UInt32.self) != blankVersion else { return nil }
            // Behind its LSN and the window's begin.
            _ = try reader.bytes(16)
            return try reader.integer(UInt64.self)
        }
    }

    /// As `read`, from the head of one copy alone, which may be damaged. Blocks; O(1).
    package static func glance(at worker: WorkerName) -> LSN? {
        var head = [UInt8](repeating: 0, count: MirroredFile.headBytes + 12)
        guard let file = try? File(ClusterPaths.checkpoint(of: worker), .read),
            let count = try? head.withUnsafeMutableBytes({ try file.read(into: $0, at: 0) }), count == head.count
        else { return nil }
        return head.withUnsafeBytes { LSN(littleEndian: $0.loadUnaligned(fromByteOffset: count - 8, as: LSN.self)) }
    }

    /// Has the worker begin without state at `begin`, its events below `renewed` left out. Blocks until durable.
    package static func publishBlank(of worker: WorkerName, at begin: LSN, renewed: LSN) throws {
        try file(of: worker).publish { writer in
            writer.body.append(integer: blankVersion)
            writer.body.append(integer: begin)
            writer.body.append(integer: renewed)
        }
    }
}

/// The number that distinguishes a process of the data directory from earlier ones of the same name: it grows with
/// each start, whatever the clock says. Kept in `checkpoints/<process>.incarnation`, a `MirroredFile` whose body is the
/// last one taken, u64. A clock that is ahead of it is followed, so that a file that is lost harms only where
/// the clock was set back as well.
package enum Incarnation {
    /// What is taken for the last one at most: it has to be able to grow.
    private static let latest: UInt64 = .max >> 1

    /// Takes the next one for `process`, of which no other runs. Blocks until it is durable, but where the disk has no room
    /// for it. `seen`: one that is known to have been used.
    /// - Throws: `SystemError` where the file can't be read or written for another reason.
    package static func take(for process: String, after seen: UInt64 = 0) throws -> UInt64 {
        let file = MirroredFile(ClusterPaths.incarnation(of: process))
        let next = max(UInt64(WallClock.now()), max(try last(in: file), min(seen, latest)) + 1)
        do {
            try FileSystem.createDirectory(FileSystem.parent(of: file.path))
            try file.publish { writer in writer.body.append(integer: next) }
        } catch let error as SystemError where error.isOutOfSpace {
            // The next start may only draw the same one if the clock is set back until then.
        }
        return next
    }

    /// 0 where there is none that can be read.
    private static func last(in file: MirroredFile) throws -> UInt64 {
        do {
            let content = try file.read(remedy: "It is drawn anew")
            return try content?.withBody { min(try $0.integer(UInt64.self), latest) } ?? 0
        } catch let error as TraceError where error.code == .corrupt { return 0 }
    }
}
