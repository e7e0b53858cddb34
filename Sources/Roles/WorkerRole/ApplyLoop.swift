import ClusterMessages
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
import ZeroMQ

/// Runs the worker's thread: receives messages, passes them to `Replica`, and carries its actions out. A deterministic
/// consumer: its output depends only on the records of the log.
final class ApplyLoop {
    private let lock: WorkerLock
    private var reach: ReachWatch
    private let watchdog: Watchdog
    private let cell: CrashCell?
    private let logger: Logger
    private let storage: WorkerStorage
    private let rules: WorkerRules
    private let reports: WorkerReports
    private var replica: Replica

    private let poller = ZMQPoller()
    private let routerSource: ZMQPoller.Source
    private let signalSource: ZMQPoller.Source

    /// Restores the worker from its checkpoint.
    /// - Throws: `WorkerLost` if the saved state is unusable; `StoppedWhileWaiting` on SIGTERM or SIGINT.
    init(
        worker: WorkerName,
        lock: consuming WorkerLock,
        machine: String,
        processor: any TraceProcessor,
        watchdog: Watchdog,
        cell: CrashCell?,
        logger: Logger
    ) throws {
        self.lock = lock
        self.watchdog = watchdog
        self.cell = cell
        self.logger = logger
        reach = ReachWatch([ClusterPaths.lock(of: worker)])
        storage = WorkerStorage(
            worker,
            processor: processor,
            machine: machine,
            cell: cell,
            logger: logger
        )
        rules = WorkerRules(worker, processor: processor, logger: logger)
        let incarnation = try Incarnation.take(for: worker.description)
        reports = try WorkerReports(
            incarnation: incarnation,
            storage: storage,
            rules: rules,
            logger: logger
        )
        routerSource = poller.add(reports.router)
        _ = poller.add(reports.aggregator)
        signalSource = poller.add(
            descriptor: try SignalReceiver.descriptor(for: [SIGTERM, SIGINT, SIGHUP])
        )
        replica = Replica(worker, incarnation: incarnation, from: nil)
        storage.onAdvance = { watchdog.feed() }
        storage.retry.wait = { [unowned self] in try waitForDisk() }
        if let checkpoint = try storage.restore() {
            replica = Replica(worker, incarnation: incarnation, from: checkpoint)
            rules.restore(from: checkpoint)
        }
        storage.retry.holdReserve()
        _ = rules.reload(window: replica.window)
        try watchCrashes()
    }

    /// Counts how the previous process ended, and records the end of this one.
    private func watchCrashes() throws {
        guard let cell else { return }
        var deaths = RecordDeaths(lsn: cell.tally.position, count: cell.tally.deaths)
        deaths.ended(at: cell.position, by: cell.cause, checkpoint: replica.checkpointLSN)
        cell.tally = (deaths.lsn, deaths.count)
        cell.position = nil
        cell.cause = nil
        try cell.watch()
        reports.claim = deaths.claim
        guard deaths.count > 0 else { return }
        logger.error(
            "This worker has ended itself at a record",
            metadata: ["lsn": "\(deaths.lsn)", "times": "\(deaths.count)"]
        )
    }

    // MARK: The loop

    /// Runs until SIGTERM or SIGINT. When it returns, a checkpoint contains everything applied, unless the worker was
    /// waiting for a full disk.
    func run() throws {
        storage.processor.files.onProgress = { [unowned self] in
            watchdog.feed()
            reports.sendSignsOfLife(of: replica)
        }
        do { try runUntilStopped() } catch is StoppedWhileWaiting {
            // The next process applies again what is not in the last checkpoint.
            let lsn = replica.checkpointLSN
            logger.warning("Stopped while the disk is full", metadata: ["lsn": "\(lsn)"])
            cell?.position = nil
        }
    }

    /// Runs the loop until a signal, then writes a checkpoint and sends all metrics.
    private func runUntilStopped() throws {
        reports.sendHello(of: replica)
        while true {
            watchdog.feed()
            try reach.check(now: WallClock.monotonic())
            poller.wait(milliseconds: reports.isRoundUnderWay ? 0 : 200)
            if poller.isReadable(signalSource), try takeSignals() { break }
            let isIdle = !poller.isReadable(routerSource)
            let isDrained = try receiveFromRouter()
            try receiveFromAggregator()
            if isDrained {
                replica.idle()
                try carryOut()
            }
            try report(isIdle: isIdle)
        }
        Readiness.stopping()
        replica.save()
        try carryOut()
        // Free the reserve, because a worker without slots may never be started again.
        if replica.isInSession, replica.ownedSlots.isEmpty { storage.retry.freeReserve() }
        reports.sendLast(of: replica)
    }

    /// Handles pending signals; returns whether the worker has to end.
    private func takeSignals() throws -> Bool {
        if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 0) != nil { return true }
        guard SignalReceiver.poll(for: [SIGHUP], milliseconds: 0) != nil else { return false }
        if rules.reload(window: replica.window) {
            replica.save()
            try carryOut()
        }
        return false
    }

    /// Handles messages from the router; returns whether none is left.
    private func receiveFromRouter() throws -> Bool {
        // Bounded, so that reports are not delayed under load.
        for _ in 0..<64 {
            guard let message = reports.router.receive() else { return true }
            switch try unsafe ClusterMessage(decoding: message.frame(0)) {
            case .shareHeader(let header):
                try lock.check()
                let empty = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
                unsafe replica.receive(header, message.frameCount > 1 ? message.frame(1) : empty)
                try carryOut()
                reports.sendProgress(of: replica)
                watchdog.feed()
                try report()
            case .workerWelcome(let welcome):
                replica.welcome(welcome)
                try carryOut()
                reports.sendProgress(of: replica)
            case .workerFenced(let fenced):
                replica.fenced(fenced)
                try carryOut()
            case .heartbeat: reports.sendHello(of: replica)
            default: break
            }
        }
        return false
    }

    private func receiveFromAggregator() throws {
        while let message = reports.aggregator.receive() {
            switch try? unsafe ClusterMessage(decoding: message.frame(0)) {
            case .heartbeat: reports.beginAnew(replica)
            case .windowMerged(let merged):
                replica.merged(merged)
                try carryOut()
            default: break
            }
        }
    }

    /// Carries out the replica's actions.
    private func carryOut() throws {
        while let action = replica.next(WallClock.monotonic) {
            switch action {
            case .hello: reports.sendHello(of: replica)
            case .announce: reports.announce(replica)
            case .work(let work):
                let outcome = try storage.carryOut(work)
                replica.did(outcome, WallClock.monotonic)
            case .end(let error): throw error
            }
        }
    }

    /// Passes the time, and sends the reports that are due. `isIdle` means that no share is waiting.
    private func report(isIdle: Bool = false) throws {
        replica.pass(WallClock.monotonic())
        try carryOut()
        reports.sendDue(of: replica, isIdle: isIdle)
    }

    /// Reports progress and feeds the watchdog, so that the worker counts as alive, then waits for 200 ms.
    /// - Throws: `StoppedWhileWaiting` on SIGTERM or SIGINT.
    private func waitForDisk() throws {
        reports.sendProgress(of: replica)
        watchdog.feed()
        reports.sendSignsOfLife(of: replica)
        if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 200) != nil {
            throw StoppedWhileWaiting()
        }
    }
}
