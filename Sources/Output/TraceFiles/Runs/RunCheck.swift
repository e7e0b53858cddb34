import SystemIO
import TraceModel

/// Finds the runs of an output that differ from what their workers announced, and sets them aside. The others can
/// then be published. Blocks.
struct RunCheck {
    private let merger: WindowMerger
    private let kind: OutputKind

    init(_ merger: WindowMerger, _ kind: OutputKind) {
        self.merger = merger
        self.kind = kind
    }

    /// Whether the run's file is byte for byte the announced one. A run without a checksum must be readable and have
    /// the announced rows and bytes.
    func isWhole(_ run: MergeInput.Run) throws -> Bool {
        let path = merger.absolute(run.path)
        guard FileSystem.size(path) == Int(clamping: run.bytes) else { return false }
        do {
            guard let checksum = run.checksum else {
                try read(run, at: path)
                return true
            }
            var (size, found) = (0, UInt32(0))
            // The header of a trace is not part of the checksum, because a rename rewrites it.
            let head = kind == .json ? JSONSegment.headerBytes : 0
            try unsafe File(path, .read).forEachPieceDirectly { piece in
                let summed = unsafe piece[min(max(head - size, 0), piece.count)...]
                found = unsafe Checksum.crc32c(
                    UnsafeRawBufferPointer(rebasing: summed),
                    after: found
                )
                size += piece.count
            }
            return size == Int(clamping: run.bytes) && found == checksum
        } catch let error where Self.isDamage(error) { return false }
    }

    private func read(_ run: MergeInput.Run, at path: String) throws {
        let reader = try RunReader(
            path,
            kind: kind,
            rank: 0,
            bufferBytes: merger.budget.mergeBufferBytes,
            run: run
        )
        while try reader.next() {}
        if kind == .json { while try reader.nextName() {} }
        try reader.verify()
    }

    /// Whether an error of a merge may be due to damaged or missing bytes.
    static func isDamage(_ error: any Error) -> Bool {
        if let error = error as? TraceError { return error.code == .corrupt }
        guard let error = error as? SystemError else { return false }
        return error.isNotFound || error.isIOError
    }

    /// Moves the run's file to the damaged files, if it exists and fits there. Otherwise it is removed with the
    /// window's segments.
    func setAside(_ run: MergeInput.Run) throws -> SegmentLoss {
        var loss = SegmentLoss(path: run.path, rows: run.rows, bytes: run.bytes)
        let path = merger.absolute(run.path)
        let directory = merger.absolute(ClusterPaths.damaged)
        guard let size = FileSystem.size(path) else { return loss }
        try FileSystem.createDirectory(directory)
        let held = try FileSystem.list(directory).reduce(0) {
            $0 + (FileSystem.size("\(directory)/\($1)") ?? 0)
        }
        guard held + size <= Limits.damagedBytesMax else { return loss }
        // From `segments/WORKER/NAME`: several workers may use the same name.
        let name = run.path.split(separator: "/").dropFirst().joined(separator: "_")
        loss.keptAt = "\(ClusterPaths.damaged)/\(name)"
        try FileSystem.rename(path, to: merger.absolute("\(ClusterPaths.damaged)/\(name)"))
        return loss
    }
}

/// What a merge does where it finds damaged segments.
package enum DamageHandling: Sendable {
    /// It ends with `DamagedSegments`: they may be made again.
    case report
    /// The window is published without them.
    case setAside
}

/// Segments of a window that are damaged or gone; nothing has been merged.
package struct DamagedSegments: Error, Equatable {
    /// Below the data directory.
    package let paths: [String]
}

/// A segment that was damaged or gone when its window was merged: the window is published without its rows.
package struct SegmentLoss: Sendable, Equatable {
    /// Below the data directory.
    package var path: String
    /// Rows that it held, as its worker announced them.
    package var rows: UInt64
    package var bytes: UInt64
    /// Where the file is now; nil where it was gone, or there was no room for it.
    package var keptAt: String?
}
