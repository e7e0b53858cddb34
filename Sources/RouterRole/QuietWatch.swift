import ActivityMonitoring
import Glibc
import IngestLog
import Logging
import Synchronization
import SystemIO
import TraceModel

/// The router's main thread while it serves: waits for signals, finalizes the open window after a pause,
/// and ends the cluster after the configured inactivity.
struct QuietWatch {
    let queue: IngestQueue
    let context: RouterContext
    let inactivitySeconds: Int?
    let logger: Logger

    /// Blocks until the router has to end.
    func wait() -> Router.Ending {
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
                    return finalize()
                case .late, .recovered:
                    break
                }
            }
        }
    }

    /// Takes nothing more and waits until the last window's files are final, or a signal ends the wait.
    private func finalize() -> Router.Ending {
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
            if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 1_000) != nil {
                return .signal
            }
        }
        return .inactivity
    }
}

/// Set once, from any thread.
private final class FinalizedFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}
