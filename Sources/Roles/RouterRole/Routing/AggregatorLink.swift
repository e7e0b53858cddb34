import ActivityMonitoring
import ClusterMessages
import Glibc
import Logging
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// The router's connection with the aggregator: reports the router's status and metrics, and notices where the aggregator falls
/// silent. Belongs to the fabric's thread.
final class AggregatorLink {
    private let context: RouterContext
    private let socket: ZMQSocket
    private var watch: AggregatorWatch
    private var reported: RouterStatus?
    /// Monotonic ns.
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

    /// The next message, nil where none waits; one that says nothing is passed over.
    func receive() -> ClusterMessage? {
        while let message = socket.receive() {
            watch.heard(now: WallClock.monotonic())
            guard message.frameCount >= 1,
                let content = try? ClusterMessage(decoding: message.frame(0))
            else {
                continue
            }
            return content
        }
        return nil
    }

    /// Reports once a second, and up to five times where the status has changed.
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

/// Tells in the log when the aggregator falls silent and when it is heard again: that process, which watches all
/// others, is watched by nobody else. Times are monotonic nanoseconds.
private struct AggregatorWatch {
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
