import Foundation
import Logging
import Synchronization
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Builds pages on a thread of its own, as that may take a tenth of a second and writes to the disk.
/// A new generation is made at most once a second, and only where something changed.
final class PageThread: Sendable {
    struct Answer: Sendable {
        let data: Data
        let isReady: Bool
    }

    private typealias Done = @Sendable (Result<Answer, any Error>) -> Void

    private struct Queue: Sendable {
        var requests: [(page: Page, done: Done)] = []
        var isStopping = false
    }

    private let shared: SharedState
    private let archive: MetricArchive
    private let pid: UInt32
    private let log: Logger
    private let queue = Mutex(Queue())
    private let wakeup: Wakeup

    init(shared: SharedState, archive: MetricArchive, pid: UInt32, log: Logger) throws {
        self.shared = shared
        self.archive = archive
        self.pid = pid
        self.log = log
        wakeup = try Wakeup()
    }

    /// Starts the thread; it holds this object until `stop`.
    func start() -> DedicatedThread { DedicatedThread("pages") { self.run() } }

    /// What is asked for after it gets an error.
    func stop() {
        queue.withLock { $0.isStopping = true }
        wakeup.signal()
    }

    /// The page of the current generation. Suspends, never blocks.
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
        var generation: Generation?
        while true {
            let (requests, isStopping) = queue.withLock { queue in
                defer { queue.requests = [] }
                return (queue.requests, queue.isStopping)
            }
            if requests.isEmpty {
                if isStopping { return }
                poller.wait(milliseconds: nil)
                wakeup.clear()
                continue
            }
            var current = successor(of: generation)
            for request in requests {
                let answer = Result {
                    Answer(data: try current.data(of: request.page), isReady: current.status.ready)
                }
                request.done(answer)
            }
            generation = current
        }
    }

    /// The same one where it is fresh or nothing has changed since.
    private func successor(of generation: Generation?) -> Generation {
        guard let generation else { return build() }
        let age = WallClock.monotonic() - generation.builtAt
        guard age >= Int64(Limits.pageSecondsMin) * 1_000_000_000,
            shared.withLock({ $0.store.revision }) != generation.reading.revision
        else { return generation }
        return build()
    }

    private func build() -> Generation {
        let builtAt = WallClock.monotonic()
        let (reading, content) = shared.withLock { content in
            let reading = content.store.reading()
            return (reading, content)
        }
        do {
            try archive.save(content.store)
        } catch {
            // Better shown than hidden: a full disk is when the metrics are needed most.
            log.error("the metrics could not be saved", metadata: ["why": "\(error)"])
        }
        let status = ClusterStatus(reading, marks: content.marks, pid: pid)
        return Generation(reading: reading, status: status, builtAt: builtAt)
    }
}
