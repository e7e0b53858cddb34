import ActivityMonitoring
import Glibc
import IngestLog
import Logging
import Synchronization
import SystemIO
import TraceModel

/// Runs on the router's main thread while it serves: waits for signals, finalizes the open window after a pause, and
/// ends the cluster after the configured inactivity.
struct QuietWatch {
    let queue: IngestQueue
    let context: RouterContext
    let inactivitySeconds: Int?
    /// Returns whether all connection slots were in use at some moment since the last call.
    let takeFull: () -> Bool
    let logger: Logger
    private var reach = ReachWatch([ClusterPaths.lock, ClusterPaths.adminSocket])
    private var crowd = CrowdWatch()

    init(
        queue: IngestQueue,
        context: RouterContext,
        inactivitySeconds: Int?,
        logger: Logger,
        takeFull: @escaping () -> Bool
    ) {
        self.queue = queue
        self.context = context
        self.inactivitySeconds = inactivitySeconds
        self.takeFull = takeFull
        self.logger = logger
    }

    /// Blocks until the router has to end.
    /// - Throws: `TraceError` if clients can no longer reach the router.
    mutating func wait() throws(TraceError) -> Router.Ending {
        var monitor = ActivityMonitor(
            now: WallClock.monotonic(),
            inactivitySeconds: inactivitySeconds
        )
        var seen = context.lastActivity
        while true {
            if let signal = SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 1_000) {
                logger.info("Signal", metadata: ["number": "\(signal)"])
                return .signal
            }
            Readiness.alive()
            let now = WallClock.monotonic()
            try reach.check(now: now)
            noteCrowd(now: now)
            if context.lastActivity != seen {
                seen = context.lastActivity
                monitor.batchReceived(now: now)
            }
            for event in monitor.tick(now: now) {
                switch event {
                case .paused(let seconds):
                    logger.info("Finalizing after a pause", metadata: ["seconds": "\(seconds)"])
                    queue.request(.init(reason: .inactivity, slotMap: nil) { _ in })
                case .inactive(let seconds):
                    logger.info("Ending for inactivity", metadata: ["seconds": "\(seconds)"])
                    return try finalize()
                case .late, .recovered: break
                }
            }
        }
    }

    private mutating func noteCrowd(now: Int64) {
        switch crowd.note(isFull: takeFull(), now: now) {
        case .began:
            logger.warning(
                "As many agents are connected as can be served at once; further ones wait, and idle ones give way"
            )
        case .ended: logger.info("No agent has had to wait for a connection for a minute")
        case nil: break
        }
    }

    /// Stops taking batches and waits until the last window's files are final, or a signal ends the wait.
    private mutating func finalize() throws(TraceError) -> Router.Ending {
        context.isDraining = true
        queue.close()
        let isDone = FinalizedFlag()
        let waiters = context.waiters
        let logger = logger
        queue.request(
            .init(reason: .inactivity, slotMap: nil) { barrier in
                waiters.wait(for: barrier.window) { outcome in
                    if case .failure(let error) = outcome {
                        logger.error(
                            "The last window is not final",
                            metadata: ["error": "\(error)"]
                        )
                    }
                    isDone.set()
                }
            }
        )
        while !isDone.isSet {
            Readiness.alive()
            try reach.check(now: WallClock.monotonic())
            if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 1_000) != nil {
                return .signal
            }
        }
        return .inactivity
    }
}

/// Decides when to log that all connections are in use and further agents have to wait: when that begins, and when it
/// has not happened for a minute. A value without a clock; times are monotonic nanoseconds.
struct CrowdWatch {
    /// A change to log.
    enum Change: Equatable {
        case began
        case ended
    }

    static let calmNanoseconds: Int64 = 60_000_000_000

    private var lastFull: Int64?

    /// Returns the change to log now; nil if there is none.
    mutating func note(isFull: Bool, now: Int64) -> Change? {
        if isFull {
            defer { lastFull = now }
            return lastFull == nil ? .began : nil
        }
        guard let lastFull, now - lastFull >= Self.calmNanoseconds else { return nil }
        self.lastFull = nil
        return .ended
    }
}

/// A flag that any thread may set, once.
private final class FinalizedFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}
