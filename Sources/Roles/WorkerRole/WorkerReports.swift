import ClusterMessages
import Glibc
import Logging
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing
import ZeroMQ

/// Sends a worker's reports to the router and the aggregator. Owns the sockets; belongs to the worker's thread.
final class WorkerReports {
    let router: ZMQSocket
    let aggregator: ZMQSocket
    private let storage: WorkerStorage
    private let rules: WorkerRules
    private let logger: Logger
    /// The request to set a record aside at which the worker ends itself.
    var claim: WorkerHello.Claim?

    private var lastProgress: Int64 = 0
    private var lastStatus: Int64 = 0
    private var statusLSN: LSN = .max
    private var lastAnnouncement: Int64 = 0
    private var lastFindings: Int64 = 0
    private var metrics = MetricRounds()

    private static let second: Int64 = 1_000_000_000

    /// Connects to the router and the aggregator.
    init(
        incarnation: UInt64,
        storage: WorkerStorage,
        rules: WorkerRules,
        logger: Logger
    ) throws {
        self.storage = storage
        self.rules = rules
        self.logger = logger
        guard let name = RoutingID("\(storage.worker).e\(incarnation)") else {
            throw TraceError(.configuration, "The worker has no name on the fabric")
        }
        let context = try ZMQContext()
        router = try ZMQSocket(context, .dealer(name))
        try router.connect(ClusterPaths.routerFabric)
        aggregator = try ZMQSocket(context, .dealer(name))
        try aggregator.connect(ClusterPaths.aggregatorFabric)
    }

    /// Whether a round of metrics has messages left to send.
    var isRoundUnderWay: Bool { metrics.isUnderWay }

    // MARK: When something is due

    /// Sends the reports that are due. `isIdle` means that no share is waiting.
    func sendDue(of replica: Replica, isIdle: Bool = false) {
        let now = WallClock.monotonic()
        if now - lastProgress >= Self.second {
            if replica.isInSession { sendProgress(of: replica) } else { sendHello(of: replica) }
            lastProgress = now
        }
        if now - lastAnnouncement >= 2 * Self.second { announce(replica) }
        if now - lastStatus >= Self.second { sendStatus(of: replica) }
        // Events are reported only after the router has accepted the LSN from which this worker continues.
        guard replica.isInSession else { return }
        if now - lastFindings >= Self.second / 5 { sendFindings(of: replica) }
        sendMetrics(of: replica, isIdle ? .idle : .loaded)
    }

    /// Reports that the worker is alive during long operations, such as the end of a window with thousands of files.
    func sendSignsOfLife(of replica: Replica) {
        let now = WallClock.monotonic()
        if now - lastProgress >= Self.second { sendProgress(of: replica) }
        if now - lastStatus >= Self.second { sendStatus(of: replica) }
    }

    /// Sends all that was not reported yet, because the worker ends.
    func sendLast(of replica: Replica) {
        sendStatus(of: replica)
        sendFindings(of: replica)
        repeat { sendMetrics(of: replica, .all) } while metrics.isUnderWay
    }

    /// Starts over, because the aggregator is new or misses something.
    func beginAnew(_ replica: Replica) {
        metrics.beginAnew()
        announce(replica)
    }

    // MARK: To the router

    /// Asks the router for a session, with the LSNs from which this worker continues.
    func sendHello(of replica: Replica) {
        send(.workerHello(replica.hello(pid: UInt32(getpid()), claim: claim)), on: router)
    }

    /// Sends the applied and checkpointed LSNs and the output's size to the router.
    func sendProgress(of replica: Replica) {
        lastProgress = WallClock.monotonic()
        send(.workerProgress(replica.progress(of: storage.processor.files)), on: router)
    }

    // MARK: To the aggregator

    /// Announces the windows that a checkpoint contains.
    func announce(_ replica: Replica) {
        lastAnnouncement = WallClock.monotonic()
        for announcement in replica.announceable {
            send(.segmentsClosed(announcement), on: aggregator)
        }
    }

    /// Sends a heartbeat with the metrics that do not follow from the log.
    private func sendStatus(of replica: Replica) {
        lastStatus = WallClock.monotonic()
        statusLSN = replica.appliedLSN
        let snapshot = MetricSnapshot(
            process: storage.worker.description,
            incarnation: replica.incarnation,
            pid: UInt32(getpid()),
            appliedLSN: replica.appliedLSN,
            checkpointLSN: replica.checkpointLSN,
            own: ownSamples(replica.checkpoints)
        )
        send(.metricSnapshot(snapshot), on: aggregator)
    }

    /// Sends the findings since the last call. They are not repeated, because the window's file will have them.
    private func sendFindings(of replica: Replica) {
        lastFindings = WallClock.monotonic()
        let files = storage.processor.files
        guard files.hasRecentFindings else { return }
        for part in files.takeRecentFindings() {
            let findings = WorkerFindings(
                worker: storage.worker,
                incarnation: replica.incarnation,
                window: part.window,
                first: part.first,
                lines: part.lines
            )
            send(.findings(findings), on: aggregator)
        }
    }

    /// Sends the next message of series to the aggregator, if one is due.
    private func sendMetrics(of replica: Replica, _ load: MetricRounds.Load) {
        let now = WallClock.monotonic()
        let lsn = replica.appliedLSN
        let next = metrics.next(
            of: storage.processor,
            holding: { replica.heldSlots },
            at: lsn,
            load: load,
            now: now
        )
        guard let message = next else { return }
        defer { metrics.count(cost: WallClock.monotonic() - now) }
        // A reader that sees a slot's events counted must see the worker's own metrics as of that LSN too.
        if statusLSN != lsn { sendStatus(of: replica) }
        let series = MetricSeries(
            process: storage.worker.description,
            incarnation: replica.incarnation,
            begins: message.begins,
            sections: message.sections,
            renewedLSN: replica.renewedLSN
        )
        // The aggregator does not get a series that was not sent, so all series are sent anew.
        if !send(.metricSeries(series), on: aggregator) { metrics.beginAnew() }
    }

    private func ownSamples(_ checkpoints: CheckpointPlan) -> [MetricSample] {
        let counted: [(LossKind, Int)] = [
            (.configurationRefused, rules.refused), (.checkpointDamaged, storage.damagedCopies),
            (.diskFull, storage.retry.waits),
        ]
        let checkpointed: [(MetricFamily, Double)] = [
            (.workerCheckpointsTotal, Double(checkpoints.count)),
            (.workerCheckpointSecondsTotal, Double(checkpoints.nanoseconds) / 1e9),
            (.workerCheckpointBytesTotal, Double(storage.checkpointBytes)),
        ]
        return storage.processor.ownSamples() + metrics.ownSamples()
            + checkpointed.map { family, value in
                MetricSample(family: family, labels: ["\(storage.worker)"], value: .counter(value))
            }
            + counted.filter { $0.1 > 0 }.map { kind, count in
                MetricSample(
                    family: .errorsTotal,
                    labels: [kind.rawValue],
                    value: .counter(Double(count))
                )
            }
    }

    @discardableResult private func send(_ message: ClusterMessage, on socket: ZMQSocket) -> Bool {
        do { return socket.send(head: try message.encode()) == .sent } catch {
            logger.error("A message could not be made", metadata: ["error": "\(error)"])
            return false
        }
    }
}
