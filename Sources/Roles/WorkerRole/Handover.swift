import IngestLog
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

/// Moves the state of slots from one worker to another: a mirrored file for each pair of workers, written by the old
/// owner before its checkpoint at the barrier, and removed by the new one after its next checkpoint.
struct Handover {
    let resource: Resource
    /// The LSN after the barrier that moved the slots.
    let lsn: LSN

    private static let directory = "\(ClusterPaths.checkpoints)/handover"

    private func path(from old: Int, to new: Int) -> String {
        "\(Self.directory)/\(resource.name).\(lsn).\(old)-\(new)"
    }

    /// Writes the state of the slots that `old` gives to `new`. Blocks until durable.
    func give(_ slots: [UInt8], from old: Int, to new: Int, processor: any TraceProcessor) throws {
        try FileSystem.createDirectory(Self.directory)
        try MirroredFile(path(from: old, to: new)).publish { writer in
            writer.body.append(integer: Self.versionMark)
            writer.body.append(integer: StateVersion.current)
            writer.body.append(integer: UInt16(slots.count))
            for slot in slots { writer.body.append(byte: slot) }
            for slot in slots {
                processor.saveState(slot: slot, into: &writer.body)
                try writer.drain()
            }
        }
    }

    /// Returns the files with slots for `new`.
    private func files(for new: Int) throws -> [MirroredFile] {
        Set(try FileSystem.list(Self.directory).map(MirroredFile.name(of:))).filter {
            $0.hasPrefix("\(resource.name).\(lsn).") && $0.hasSuffix("-\(new)")
        }.sorted().map { MirroredFile("\(Self.directory)/\($0)") }
    }

    /// Takes in all slots that `new` has gained; their files remain until `remove`. Returns false, and takes nothing,
    /// if an old owner has not written its file yet, or has no checkpoint at the barrier: it would write its file
    /// again, with another state if a part of the log was lost since. Damaged copies are reported to `report`.
    /// - Throws: `TraceError(.corrupt)` if both copies of a file are damaged, or a file is gone; nothing is taken then.
    func take(
        _ slots: [UInt8],
        by new: Int,
        into processor: any TraceProcessor,
        report: (_ damage: String) -> Void
    ) throws -> Bool {
        let worker = WorkerName(resource: resource, index: new)
        let remedy = CheckpointPosition.remedy(for: worker)
        // Before the files are listed: an owner writes its file first, then its checkpoint.
        let givers = try SlotGivers(besides: worker, of: slots, at: lsn)
        var contents: [MirroredFile.Content] = []
        var present: Set<UInt8> = []
        for file in try files(for: new) where !givers.willWrite(file.path) {
            guard let content = try file.read(remedy: remedy) else { continue }
            if let damage = content.damage { report(damage) }
            present.formUnion(try content.withBody { try Self.slots(from: &$0) })
            contents.append(content)
        }
        guard present.isSuperset(of: slots) else {
            guard givers.havePassed else { return false }
            let missing = Set(slots).subtracting(present).count
            throw TraceError(
                .corrupt,
                "The state of \(missing) slots is missing: no hand-over file of LSN \(lsn) contains it"
                    + ", and no worker has it",
                remedy: remedy
            )
        }
        try processor.files.beginEpoch(order: lsn)
        for content in contents {
            try content.withBody { reader in
                for slot in try Self.slots(from: &reader) {
                    try processor.loadState(slot: slot, from: &reader)
                }
            }
        }
        return true
    }

    /// Precedes the version of the state. Files of 0.1.0 start with the number of slots, which is smaller.
    private static let versionMark = UInt16.max

    /// Reads the slots at the start of a file, and sets the version of the state in `reader`.
    private static func slots(from reader: inout StateReader) throws -> [UInt8] {
        var count = try reader.integer(UInt16.self)
        reader.version = StateVersion.beforeDialects
        if count == versionMark {
            reader.version = try reader.integer(UInt32.self)
            count = try reader.integer(UInt16.self)
        }
        return try (0..<count).map { _ in try reader.integer(UInt8.self) }
    }

    /// Removes files that `worker` took in earlier and that a restarted old owner has written again: all up to the
    /// worker's checkpoint at `lsn`, except those of the barrier at `waiting`. Blocks.
    static func removeTaken(
        by worker: WorkerName,
        through lsn: LSN,
        except waiting: LSN?
    ) throws(SystemError) {
        for entry in try FileSystem.list(directory) {
            let parts = entry.split(separator: ".")
            guard parts.count >= 3, parts[0] == worker.resource.name, let moved = LSN(parts[1]),
                moved <= lsn,
                moved != waiting, parts[2].hasSuffix("-\(worker.index)")
            else { continue }
            try FileSystem.remove("\(directory)/\(entry)")
        }
    }

    /// Removes the files that `take` has read; call it after a checkpoint contains their state.
    func remove(for new: Int) throws { for file in try files(for: new) { try file.remove() } }
}

/// The workers that may still give slots which another worker waits for, by their checkpoints.
private struct SlotGivers {
    /// Workers whose checkpoint is below the barrier and has some of the slots.
    private var coming: Set<WorkerName> = []
    /// Whether some worker has no checkpoint that can be read.
    private var isUnsure = false
    /// Whether the checkpoint of some worker is at the barrier or above it.
    private var hasPassed = false

    /// Reads the heads of the checkpoints of all other workers of the resource. Blocks.
    init(besides worker: WorkerName, of slots: [UInt8], at lsn: LSN) throws {
        for other in try Self.workers(of: worker.resource) where other != worker {
            guard let head = WorkerCheckpoint.Head(of: other) else {
                isUnsure = true
                continue
            }
            if head.lsn >= lsn {
                hasPassed = true
            } else if slots.contains(where: { head.has($0, other) }) {
                coming.insert(other)
            }
        }
    }

    /// Whether all have passed the barrier, so that no file comes any more.
    var havePassed: Bool { coming.isEmpty && !isUnsure && hasPassed }

    /// Returns whether the giver of a hand-over file, `….<old>-<new>`, will write that file again.
    func willWrite(_ path: String) -> Bool {
        coming.contains { path.contains(".\($0.index)-") }
    }

    /// Returns the workers that have files of their own.
    private static func workers(of resource: Resource) throws -> Set<WorkerName> {
        let entries =
            try FileSystem.list(ClusterPaths.checkpoints) + FileSystem.list(ClusterPaths.segments)
        return Set(
            entries.compactMap { entry in
                let name = entry.split(separator: ".").prefix(2).joined(separator: ".")
                return WorkerName(name)
            }
        ).filter { $0.resource == resource }
    }
}
