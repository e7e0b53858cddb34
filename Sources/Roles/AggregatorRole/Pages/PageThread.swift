import ActivityMonitoring
import HTTPServing
import Logging
import Synchronization
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Builds pages on its own thread, because that may take 100 ms and writes to the disk. New pages are built only
/// after a change, and at most once a second for each kind of page; immediately after a process was found silent,
/// and after 50 ms if the cluster was not ready.
final class PageThread: Sendable {
    /// A page's bytes, and whether the cluster is ready.
    struct Answer: Sendable {
        let body: SharedBody
        let isReady: Bool
    }

    private typealias Done = @Sendable (Result<Answer, any Error>) -> Void

    /// Requests that wait for the thread.
    private struct Queue: Sendable {
        var requests: [(page: Page, done: Done)] = []
        var isStopping = false
    }

    private let shared: SharedState
    private let archive: MetricArchive
    private let pid: UInt32
    private let pageNanoseconds: Int64
    private let log: Logger
    private let queue = Mutex(Queue())
    private let wakeup: Wakeup
    private let saving = Mutex(Recurrence())

    /// How long a status that says "not ready" is served.
    private static let unreadyNanoseconds: Int64 = 50_000_000

    /// Creates the thread's object. A page younger than `pageSeconds` is served again.
    init(
        shared: SharedState,
        archive: MetricArchive,
        pid: UInt32,
        pageSeconds: Int = Limits.pageSecondsMin,
        log: Logger
    ) throws {
        self.shared = shared
        self.archive = archive
        self.pid = pid
        pageNanoseconds = Int64(pageSeconds) * 1_000_000_000
        self.log = log
        wakeup = try Wakeup()
    }

    /// Starts the thread; it holds this object until `stop`.
    func start() -> DedicatedThread { DedicatedThread("pages") { self.run() } }

    /// Stops the thread; later requests get an error.
    func stop() {
        queue.withLock { $0.isStopping = true }
        wakeup.signal()
    }

    /// Returns the current page. Suspends, never blocks.
    func answer(_ page: Page) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            let done: Done = { continuation.resume(with: $0) }
            let isTaken = queue.withLock { queue in
                if queue.isStopping { return false }
                queue.requests.append((page, done))
                return true
            }
            if isTaken {
                wakeup.signal()
            } else {
                done(.failure(TraceError(.unreachable, "the aggregator is ending")))
            }
        }
    }

    private func run() {
        let poller = ZMQPoller()
        _ = poller.add(descriptor: wakeup.descriptor)
        var generation: SnapshotVersion?
        while true {
            let (requests, isStopping) = queue.withLock { queue in
                defer { queue.requests = [] }
                return (queue.requests, queue.isStopping)
            }
            if requests.isEmpty {
                if isStopping { return }
                poller.wait(milliseconds: 1_000)
                wakeup.clear()
                saveHeld()
                continue
            }
            var current = successor(
                of: generation,
                needsFamilies: requests.contains { $0.page.content.needsFamilies }
            )
            for request in requests {
                let answer = Result {
                    Answer(body: try current.body(of: request.page), isReady: current.status.ready)
                }
                request.done(answer)
            }
            generation = current
        }
    }

    /// Returns the given pages if they are recent or nothing has changed, else new ones. Pages without families
    /// cannot serve a page that shows them; then the status is read again as well, so that both match.
    private func successor(of generation: SnapshotVersion?, needsFamilies: Bool) -> SnapshotVersion
    {
        guard let generation, generation.hasFamilies || !needsFamilies else {
            return build(withFamilies: needsFamilies)
        }
        let age = WallClock.monotonic() - generation.builtAt
        let (revision, silences) = shared.withLock { ($0.store.revision, $0.silences) }
        let isOld = revision != generation.reading.revision && age >= lifetime(of: generation)
        guard isOld || silences != generation.silences else { return generation }
        return build(withFamilies: needsFamilies)
    }

    /// Returns how long the pages are served, in nanoseconds. It is short while the cluster is not ready, because
    /// clients poll until it is.
    private func lifetime(of generation: SnapshotVersion) -> Int64 {
        generation.status.ready || generation.hasFamilies
            ? pageNanoseconds : min(pageNanoseconds, Self.unreadyNanoseconds)
    }

    private func build(withFamilies: Bool) -> SnapshotVersion {
        let builtAt = WallClock.monotonic()
        let (reading, marks, merging, uploads, skew, console, edge, silences) = shared.withLock {
            content in
            let reading = withFamilies ? content.reading() : content.store.statusReading()
            return (
                reading, content.marks, content.merging, content.uploads, content.skew,
                content.console, content.edge, content.silences
            )
        }
        save()
        return SnapshotVersion(
            reading: reading,
            status: StatusPage(
                reading,
                marks: marks,
                merging: merging,
                uploads: uploads,
                skew: skew,
                console: console,
                edge: edge,
                pid: pid
            ),
            hasFamilies: withFamilies,
            silences: silences,
            builtAt: builtAt
        )
    }

    /// Saves the journal if no request has done so, to bound its memory.
    private func saveHeld() {
        let held = shared.withLock { $0.journal.bytes.count }
        if held > Limits.metricJournalHeldBytesMax { save() }
    }

    private func save() {
        do {
            try archive.save(shared)
            guard saving.withLock({ $0.isOver() }) else { return }
            log.info("the metrics are saved again")
        } catch {
            // The page is shown even though it is not saved: metrics are needed most when the disk is full.
            guard saving.withLock({ $0.isNew("\(error)") }) else { return }
            log.error(
                "the metrics could not be saved; it is tried again",
                metadata: ["why": "\(error)"]
            )
        }
    }
}
