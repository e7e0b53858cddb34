import Logging
import SystemIO
import TraceFiles
import TraceModel

/// Deletes the oldest final windows by age, total size or free disk space. A window is deleted as a whole. Only
/// windows with a record are known, so files that others put under `output/` stay. The newest window of each
/// resource is deleted only by age. Used by the merge thread only; every method blocks.
struct Retention {
    /// A window and the size of its files.
    private struct Kept {
        let window: FinalWindow
        var bytes: UInt64
    }

    private let policy: RetentionPolicy
    private let records: FinalWindowRecords
    /// Whether a window is deleted only after its files are in the object store.
    private let waitsForUpload: Bool
    private let log: Logger
    /// Windows, oldest first.
    private var kept: [Kept] = []
    private(set) var counts = RetentionCounts()

    init(
        _ policy: RetentionPolicy,
        _ records: FinalWindowRecords,
        waitsForUpload: Bool = false,
        log: Logger
    ) {
        self.policy = policy
        self.records = records
        self.waitsForUpload = waitsForUpload
        self.log = log
    }

    /// Reads the records of earlier runs.
    mutating func load() throws {
        kept = try records.list().map { Kept(window: $0, bytes: 0) }
        recount()
    }

    /// Adds a window that now has a record.
    mutating func add(_ window: FinalWindow) {
        guard let bytes = bytes(of: window) else { return }
        kept.append(Kept(window: window, bytes: bytes))
        note()
    }

    /// Deletes windows as the policy and the free space demand. `freeBytesMin` is the space the disk should have
    /// free. At most `Limits.retentionWindowsPerPass` windows are deleted, so that merges are not delayed, and as many
    /// that wait for their upload are passed over. `now` is in seconds since the epoch.
    mutating func pass(now: Int64, freeBytes: UInt64, freeBytesMin: UInt64) {
        let bytesMax = policy.bytesMax ?? .max
        // Readers may have moved files away; those need no space.
        if counts.bytesKept > bytesMax { recount() }
        let newest = Dictionary(
            kept.map { ($0.window.resource, $0.window) },
            uniquingKeysWith: { _, later in later }
        )
        var rest: [Kept] = []
        var bytes = counts.bytesKept
        var free = freeBytes
        var due = 0
        var waiting = 0
        for (index, each) in kept.enumerated() {
            let isOld = policy.ageSeconds.map { now - each.window.finalAt >= $0 } ?? false
            let isTooMuch = bytes > bytesMax || free < freeBytesMin
            guard isOld || isTooMuch,
                max(due, waiting) < Limits.retentionWindowsPerPass
            else {
                rest += kept[index...]
                break
            }
            guard isOld || newest[each.window.resource] != each.window else {
                rest.append(each)
                continue
            }
            guard !waitsForUpload || records.isUploaded(each.window) else {
                rest.append(each)
                waiting += 1
                continue
            }
            due += 1
            delete(each.window, isOld ? "age" : bytes > bytesMax ? "size" : "disk")
            bytes -= each.bytes
            free += each.bytes
        }
        guard due > 0 else { return }
        kept = rest
        note()
    }

    private mutating func delete(_ window: FinalWindow, _ reason: String) {
        do {
            let removal = try records.remove(window)
            counts.filesDeleted += removal.files
            counts.bytesDeleted += removal.bytes
            log.info(
                "deleted final files",
                metadata: [
                    "resource": "\(window.resource.name)", "window": "\(window.window)",
                    "files": "\(removal.files)",
                    "bytes": "\(removal.bytes)", "because": "\(reason)",
                ]
            )
        } catch { fail(window, error) }
    }

    private mutating func recount() {
        kept = kept.compactMap { each in
            bytes(of: each.window).map { Kept(window: each.window, bytes: $0) }
        }
        note()
    }

    private mutating func bytes(of window: FinalWindow) -> UInt64? {
        do { return try records.bytes(of: window) } catch {
            fail(window, error)
            return nil
        }
    }

    /// Counts and logs a window that cannot be deleted; it is skipped until the next start.
    private mutating func fail(_ window: FinalWindow, _ error: any Error) {
        counts.recordsDamaged += 1
        log.error(
            "final files can't be deleted; they are left until the next start",
            metadata: [
                "resource": "\(window.resource.name)", "window": "\(window.window)",
                "why": "\(error)",
            ]
        )
    }

    private mutating func note() {
        counts.windowsKept = kept.count
        counts.bytesKept = kept.reduce(0) { $0 + $1.bytes }
    }
}
