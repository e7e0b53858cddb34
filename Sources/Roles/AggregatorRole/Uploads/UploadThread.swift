import Logging
import ObjectStore
import Synchronization
import SystemIO
import TraceFiles
import TraceModel

/// Uploads the files of final windows to the object store, one window at a time and in order. It has a thread of its own,
/// so that merges never wait for a network. What waits is on the disk: a record without a mark. So it survives a restart, and
/// memory holds `Limits.uploadWindowsHeldMax` windows. A window that cannot be uploaded is tried again with growing
/// pauses; retention keeps its files.
final class UploadThread: Sendable {
    /// State shared with the other threads.
    private struct Queue: Sendable {
        /// Windows to upload, oldest first.
        var windows: [FinalWindow] = []
        /// Whether more windows wait than are held; they are looked up on the disk.
        var hasMore = false
        /// Whether records are complete, so that the disk can be asked what waits.
        var isReady = false
        var state: UploadState
        /// Set when the process ends: the time at which uploads are given up, in monotonic nanoseconds.
        var deadline: Int64?
    }

    private let queue: Mutex<Queue>
    private let changed = ConditionLock()
    private let address: ObjectStoreAddress
    private let cell: String
    private let log: Logger

    init(_ address: ObjectStoreAddress, cell: String, log: Logger) {
        self.address = address
        self.cell = cell
        self.log = log
        queue = Mutex(Queue(state: UploadState(address: "\(address)", cell: cell)))
    }

    /// Starts the thread; it holds this object until `stop`.
    func start() -> DedicatedThread { DedicatedThread("upload") { self.run() } }

    /// Begins with what the disk says to be waiting. To be called once all records of earlier runs are complete.
    func begin() {
        queue.withLock {
            $0.isReady = true
            $0.hasMore = true
        }
        changed.withLock { changed.broadcast() }
    }

    /// Queues a window that now has a record.
    func add(_ window: FinalWindow) {
        queue.withLock { queue in
            queue.state.waitingWindows += 1
            queue.state.oldestWaitingAt = queue.state.oldestWaitingAt ?? window.finalAt
            if queue.hasMore || queue.windows.count >= Limits.uploadWindowsHeldMax {
                queue.hasMore = true
            } else {
                queue.windows.append(window)
            }
        }
        changed.withLock { changed.broadcast() }
    }

    var state: UploadState { queue.withLock { $0.state } }

    /// Makes the thread end: at once if an upload has failed, else when nothing waits, or after
    /// `Limits.uploadStopSeconds`.
    func stop() {
        let deadline = WallClock.monotonic() + Int64(Limits.uploadStopSeconds) * 1_000_000_000
        queue.withLock { $0.deadline = deadline }
        changed.withLock { changed.broadcast() }
    }

    private var isOver: Bool {
        queue.withLock { queue in
            guard let deadline = queue.deadline else { return false }
            return queue.state.problem != nil || WallClock.monotonic() >= deadline
        }
    }

    private func run() {
        let records = FinalWindowRecords()
        var client: S3Client?
        var failures = 0
        while !isOver {
            guard let window = next(records) else {
                if queue.withLock({ $0.deadline != nil }) { return }
                wait(until: .max)
                continue
            }
            do {
                // Credentials are read again after a failure, because they may have been renewed.
                let current = try client ?? connect()
                client = current
                let upload = WindowUpload(client: current, cell: cell, records: records)
                note(window, sent: try upload.upload(window))
                failures = 0
            } catch {
                guard !isOver else { return }
                client = nil
                failures += 1
                note(window, failed: error)
                pause(after: failures)
                // A damaged record must not hold up other windows. It is tried again at the next start.
                if let error = error as? TraceError, error.code == .corrupt { drop() }
            }
        }
    }

    private func connect() throws -> S3Client {
        try S3Client(address, try ObjectStoreAccess()) { [self] in isOver }
    }

    /// Returns the oldest window that waits, which stays in the queue; nil if there is none.
    private func next(_ records: FinalWindowRecords) -> FinalWindow? {
        let needsList = queue.withLock { queue in
            guard queue.isReady, queue.hasMore, queue.windows.isEmpty else { return false }
            // What is added from now on may be missing in the list.
            queue.hasMore = false
            return true
        }
        if needsList { fill(records) }
        return queue.withLock { $0.windows.first }
    }

    private func fill(_ records: FinalWindowRecords) {
        do {
            let all = try records.listNotUploaded()
            queue.withLock { queue in
                // Windows that were added meanwhile are in the list, or behind it.
                let held = Set(all)
                let added = queue.windows.filter { !held.contains($0) }
                queue.windows = Array(all.prefix(Limits.uploadWindowsHeldMax))
                if queue.windows.count < all.count {
                    queue.hasMore = true
                } else {
                    queue.windows += added
                }
                queue.state.waitingWindows = all.count + added.count
                queue.state.oldestWaitingAt = queue.windows.first?.finalAt
            }
        } catch {
            queue.withLock { $0.hasMore = true }
            log.error("the records of final files can't be read", metadata: ["why": "\(error)"])
            pause(after: 1)
        }
    }

    /// Takes the oldest window out of the queue.
    private func drop() {
        queue.withLock { queue in
            queue.windows.removeFirst()
            queue.state.waitingWindows = max(queue.state.waitingWindows - 1, queue.windows.count)
            queue.state.oldestWaitingAt = queue.windows.first?.finalAt
        }
    }

    private func note(_ window: FinalWindow, sent: WindowUpload.Sent?) {
        drop()
        guard let sent else { return }
        let (isOverProblem, waiting) = queue.withLock { queue in
            defer { queue.state.problem = nil }
            queue.state.files += sent.files
            queue.state.bytes += sent.bytes
            return (queue.state.problem != nil, queue.state.waitingWindows)
        }
        if isOverProblem {
            log.info("the object store takes files again", metadata: ["waiting": "\(waiting)"])
        }
        log.info(
            "uploaded",
            metadata: [
                "resource": "\(window.resource.name)", "window": "\(window.window)",
                "files": "\(sent.files)", "bytes": "\(sent.bytes)",
            ]
        )
    }

    private func note(_ window: FinalWindow, failed error: any Error) {
        let text = "\(error)"
        let (isNew, waiting) = queue.withLock { queue in
            defer { queue.state.problem = text }
            queue.state.failures += 1
            return (queue.state.problem != text, queue.state.waitingWindows)
        }
        guard isNew else { return }
        log.error(
            "windows wait for the object store; their files stay on this machine",
            metadata: [
                "resource": "\(window.resource.name)", "window": "\(window.window)",
                "waiting": "\(waiting)", "why": "\(text)",
            ]
        )
    }

    /// Waits a second after a failure, then longer each time.
    private func pause(after failures: Int) {
        let seconds = min(1 << min(failures - 1, 10), Limits.uploadRetrySecondsMax)
        let deadline = WallClock.monotonic() + Int64(seconds) * 1_000_000_000
        while !isOver, WallClock.monotonic() < deadline { wait(until: deadline) }
    }

    /// Waits for a change, a second at most.
    private func wait(until deadline: Int64) {
        changed.withLock {
            changed.wait(until: min(deadline, WallClock.monotonic() + 1_000_000_000))
        }
    }
}
