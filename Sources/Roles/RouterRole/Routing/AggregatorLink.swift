import ActivityMonitoring
import ClusterMessages
import Glibc
import Logging
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Connects the router to the aggregator: reports the router's status and metrics, and notices if the aggregator falls
/// silent. Used by the fabric's thread.
final class AggregatorLink {
    private let context: RouterContext
    private let socket: ZMQSocket
    private var watch: AggregatorWatch
    private var reported: RouterStatus?
    /// Time of the last report; monotonic nanoseconds.
    private var lastReport: Int64 = 0

    private static let second: Int64 = 1_000_000_000

    init(_ zmq: ZMQContext, context: RouterContext, logger: Logger) throws {
        self.context = context
        watch = AggregatorWatch(logger: logger)
        guard let name = RoutingID("router.e\(context.incarnation)") else {
            throw TraceError(.configuration, "The router has no name on the fabric")
        }
        socket = try ZMQSocket(zmq, .dealer(name))
        try socket.connect(ClusterPaths.aggregatorFabric)
    }

    func add(to poller: ZMQPoller) -> ZMQPoller.Source { poller.add(socket) }

    /// Returns the next message; nil if there is none. Messages that cannot be decoded are skipped.
    func receive() -> ClusterMessage? {
        while let message = socket.receive() {
            watch.heard(now: WallClock.monotonic())
            guard message.frameCount >= 1,
                let content = try? unsafe ClusterMessage(decoding: message.frame(0))
            else {
                continue
            }
            return content
        }
        return nil
    }

    /// Reports once a second, and up to five times a second if the status has changed.
    func report(_ state: borrowing RoutingState, now: Int64) {
        watch.tick(now: now)
        guard now - lastReport >= Self.second / 5 else { return }
        var status = state.status
        status.draining = context.isDraining
        status.accepting = !context.isDraining && context.obstacle == nil
        status.uncertainEvents = context.uncertainEvents
        guard status != reported || now - lastReport >= Self.second else { return }
        context.slowest = state.slowest
        let snapshot = MetricSnapshot(
            process: MetricSnapshot.router,
            incarnation: context.incarnation,
            pid: UInt32(getpid()),
            appliedLSN: state.routedLSN,
            checkpointLSN: state.trimmableLSN,
            headLSN: status.headLSN,
            own: context.ownSamples(head: status.headLSN),
            router: status
        )
        guard let bytes = try? ClusterMessage.metricSnapshot(snapshot).encode() else { return }
        if socket.send(head: bytes) == .sent {
            reported = status
            lastReport = now
        }
    }
}

/// Logs when the aggregator falls silent and when it is heard again: it watches all other processes, and only the
/// router watches it. Times are monotonic nanoseconds.
private struct AggregatorWatch {
    private var monitor = ActivityMonitor(now: 0, inactivitySeconds: nil)
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// Notes a message of the aggregator, which counts as a heartbeat. Watching starts with the first one.
    mutating func heard(now: Int64) {
        monitor.expect(.aggregator, now: now)
        monitor.heard(from: .aggregator, now: now)
    }

    mutating func tick(now: Int64) {
        for event in monitor.tick(now: now) {
            switch event {
            case .late(let member, let seconds):
                logger.warning(
                    "Silent",
                    metadata: ["process": "\(member)", "seconds": "\(seconds)"]
                )
            case .recovered(let member, let seconds):
                logger.info(
                    "Heard again",
                    metadata: ["process": "\(member)", "seconds": "\(seconds)"]
                )
            case .paused, .inactive: break
            }
        }
    }
}
