import ActivityMonitoring
import Logging

/// Tells in the log when the aggregator falls silent and when it is heard again: that process, which watches all
/// others, is watched by nobody else. Times are monotonic nanoseconds.
struct AggregatorWatch {
    private var monitor = ActivityMonitor(now: 0, inactivitySeconds: nil)
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// Any message is a sign of life; it is watched from the first one on.
    mutating func heard(now: Int64) {
        monitor.expect(.aggregator, now: now)
        monitor.heard(from: .aggregator, now: now)
    }

    mutating func tick(now: Int64) {
        for event in monitor.tick(now: now) {
            switch event {
            case .late(let member, let seconds):
                logger.warning("Silent", metadata: ["process": "\(member)", "seconds": "\(seconds)"])
            case .recovered(let member, let seconds):
                logger.info("Heard again", metadata: ["process": "\(member)", "seconds": "\(seconds)"])
            case .paused, .inactive: break
            }
        }
    }
}
