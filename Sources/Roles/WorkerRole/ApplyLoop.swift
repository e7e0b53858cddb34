import AnomalyRules
import ClusterMessages
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing
import ZeroMQ

/// Runs the worker's main loop: receives shares of the log, applies their records in order, writes checkpoints, and
/// reports. A deterministic consumer: its output depends only on the records.
final class ApplyLoop {
    private let worker: WorkerName
    private let lock: WorkerLock
    private var reach: ReachWatch
    private let incarnation: UInt64
    private let processor: any TraceProcessor
    private let batches: BatchApplier
    private let watchdog: Watchdog
    /// Stores the LSN of the record in progress, so that the next process knows at which record this one crashed.
    private let cell: CrashCell?
    private let reserve: CheckpointReserve
    private let logger: Logger

    private let router: ZMQSocket
    private let aggregator: ZMQSocket
    private let poller = ZMQPoller()
    private let signals: Int32
    private let signalSource: ZMQPoller.Source

    /// All records below this LSN are applied.
    private var appliedLSN: LSN = 0
    private var checkpointLSN: LSN = 0
    private var window: UInt64 = 0
    private var windowBegin: LSN = 0
    private var gained: GainedSlots?
    /// Time of the next hello that requests a share again that could not be applied yet; nil if there is none.
    /// Monotonic nanoseconds.
    private var retryAt: Int64?
    private var owners: [UInt16] = []
    /// The worker's events below this LSN were set aside, because its saved state was unusable; 0 if that never
    /// happened.
    private var renewed: LSN = 0
    private var announcements: [SegmentsClosed] = []
    private var deaths = RecordDeaths()
    private var isWelcome = false
    private var checkpoints = CheckpointPlan()
    private var checkpointBytes: UInt64 = 0

    private var lastProgress: Int64 = 0
    private var lastStatus: Int64 = 0
    private var statusLSN: LSN = .max
    private var lastAnnouncement: Int64 = 0
    private var metrics = MetricRounds()
    private let routerSource: ZMQPoller.Source
    /// Number of rules files that were refused.
    private var refusedRules = 0
    /// Number of damaged copies of checkpoints and hand-over files.
    private var damagedCopies = 0
    /// Number of times that a full disk made the worker wait.
    private var diskWaits = 0

    private static let second: Int64 = 1_000_000_000
    #if DEBUG
    private let faults = FaultInjection()
    #endif

    init(
        worker: WorkerName,
        lock: consuming WorkerLock,
        machine: String,
        processor: any TraceProcessor,
        watchdog: Watchdog,
        cell: CrashCell?,
        logger: Logger
    ) throws {
        self.worker = worker
        self.lock = lock
        reach = ReachWatch([ClusterPaths.lock(of: worker)])
        self.processor = processor
        batches = BatchApplier(processor, machine: machine)
        self.watchdog = watchdog
        self.cell = cell
        reserve = CheckpointReserve(for: worker)
        self.logger = logger
        incarnation = try Incarnation.take(for: worker.description)
        guard let name = RoutingID("\(worker).e\(incarnation)") else {
            throw TraceError(.configuration, "The worker has no name on the fabric")
        }
        let context = try ZMQContext()
        router = try ZMQSocket(context, .dealer(name))
        try router.connect(ClusterPaths.routerFabric)
        aggregator = try ZMQSocket(context, .dealer(name))
        try aggregator.connect(ClusterPaths.aggregatorFabric)
        routerSource = poller.add(router)
        _ = poller.add(aggregator)
        signals = try SignalReceiver.descriptor(for: [SIGTERM, SIGINT, SIGHUP])
        signalSource = poller.add(descriptor: signals)
        processor.observer = self
        try restore()
        reserve.hold()
        _ = takeRules()
        try watchCrashes()
    }

    /// Restores the state from the last checkpoint, if there is one.
    /// - Throws: `WorkerLost` if the saved state is unusable.
    private func restore() throws {
        let saved: WorkerCheckpoint?
        do {
            saved = try WorkerCheckpoint.restore(for: worker, into: processor) { damage, write in
                if let damage { note(damage) }
                try retryingWhenDiskFull(using: reserve, write)
            }
        } catch let error as TraceError where error.code == .corrupt {
            throw WorkerLost(cause: error)
        }
        guard let checkpoint = saved else {
            try processor.files.restore(from: nil)
            return
        }
        for segment in processor.files.damagedSegments {
            logger.error(
                "A segment is gone or shorter than the checkpoint says; its rows are lost when its window is merged",
                metadata: ["file": "\(segment)", "window": "\(checkpoint.window)"]
            )
        }
        appliedLSN = checkpoint.lsn
        checkpointLSN = checkpoint.lsn
        window = checkpoint.window
        windowBegin = checkpoint.windowBegin
        gained = checkpoint.gained
        owners = checkpoint.owners
        announcements = checkpoint.announcements
        renewed = checkpoint.renewed
        takeRules(of: checkpoint)
        // The checkpoint is blank: kept checkpoints do not fit what the worker does from here on.
        if owners.isEmpty { _ = try KeptCheckpoints.remove(of: worker) }
        try Handover.removeTaken(by: worker, through: appliedLSN, except: gained?.lsn)
        logger.info(
            "Checkpoint restored",
            metadata: ["lsn": "\(appliedLSN)", "window": "\(window)"]
        )
    }

    /// Counts and logs a damaged copy of a file whose other copy is used.
    private func note(_ damage: String) {
        damagedCopies += 1
        logger.error("A damaged file; its other copy serves", metadata: ["file": "\(damage)"])
    }

    /// Counts how the previous process ended, and records the end of this one.
    private func watchCrashes() throws {
        guard let cell else { return }
        deaths = RecordDeaths(lsn: cell.tally.position, count: cell.tally.deaths)
        deaths.ended(at: cell.position, by: cell.cause, checkpoint: checkpointLSN)
        cell.tally = (deaths.lsn, deaths.count)
        cell.position = nil
        cell.cause = nil
        try cell.watch()
        guard deaths.count > 0 else { return }
        logger.error(
            "This worker has ended itself at a record",
            metadata: ["lsn": "\(deaths.lsn)", "times": "\(deaths.count)"]
        )
    }

    // MARK: Rules

    /// Uses the rules that were in force at the checkpoint.
    private func takeRules(of checkpoint: WorkerCheckpoint) {
        do { processor.rules = try RuleSet(checkpoint.rules, file: "The checkpoint's rules") } catch
        {
            logger.error(
                "Another version's rules; the defaults hold",
                metadata: ["error": "\(error)"]
            )
        }
    }

    /// Uses the rules of the file if they differ and are valid; returns whether they changed. Call it only if the state
    /// is that of a checkpoint, or a checkpoint follows.
    private func takeRules() -> Bool {
        do {
            guard let rules = try RulesFile.load(unless: processor.rules) else { return false }
            // Segments of the open window cannot be rebuilt any more: its rest has other rules than its start.
            _ = try KeptCheckpoints.remove(of: worker, from: window)
            processor.rules = rules
            logger.info("Rules taken over", metadata: ["bytes": "\(rules.source.count)"])
            return true
        } catch {
            refusedRules += 1
            logger.error(
                "The rules file is refused; the rules in force stay",
                metadata: ["error": "\(error)"]
            )
            return false
        }
    }

    /// Handles pending signals; returns whether the worker has to end.
    private func takeSignals() throws -> Bool {
        if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 0) != nil { return true }
        guard SignalReceiver.poll(for: [SIGHUP], milliseconds: 0) != nil else { return false }
        if takeRules(), isWelcome { try checkpoint() }
        return false
    }

    // MARK: The loop

    /// Runs until SIGTERM or SIGINT. When it returns, a checkpoint contains everything applied, unless the worker was
    /// waiting for a full disk.
    func run() throws {
        processor.files.onProgress = { [unowned self] in signOfLife() }
        do { try runUntilStopped() } catch is StoppedWhileWaiting {
            // The next process applies again what is not in the last checkpoint.
            logger.warning("Stopped while the disk is full", metadata: ["lsn": "\(checkpointLSN)"])
            cell?.position = nil
        }
    }

    /// Runs the loop until a signal, then writes a checkpoint and sends all metrics.
    private func runUntilStopped() throws {
        hello()
        while true {
            watchdog.feed()
            try reach.check(now: WallClock.monotonic())
            poller.wait(milliseconds: metrics.isUnderWay ? 0 : 200)
            if poller.isReadable(signalSource), try takeSignals() { break }
            let isIdle = !poller.isReadable(routerSource)
            let isDrained = try receiveFromRouter()
            receiveFromAggregator()
            if isDrained { try checkpointIfDue(.idle) }
            report(isIdle: isIdle)
        }
        Readiness.stopping()
        if isWelcome {
            try checkpoint()
            // Free the reserve, because a worker without slots may never be started again.
            if ownedSlots.isEmpty { _ = reserve.giveUp() }
        }
        sendStatus()
        repeat { sendMetrics(.all) } while metrics.isUnderWay
    }

    /// Handles messages from the router; returns whether none is left.
    private func receiveFromRouter() throws -> Bool {
        // Bounded, so that reports are not delayed under load.
        for _ in 0..<64 {
            guard let message = router.receive() else { return true }
            switch try unsafe ClusterMessage(decoding: message.frame(0)) {
            case .shareHeader(let header):
                let empty = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
                try unsafe apply(header, message.frameCount > 1 ? message.frame(1) : empty)
                progress()
                watchdog.feed()
                report()
            case .workerWelcome(let welcome):
                try accept(welcome)
                progress()
            case .heartbeat: hello()
            case .workerFenced(let fenced) where fenced.incarnation == incarnation:
                throw refusal(fenced)
            default: break
            }
        }
        return false
    }

    /// Returns the error with which a worker ends that the router refuses.
    private func refusal(_ fenced: WorkerFenced) -> any Error {
        let message = "The router refuses this worker: \(fenced.reason)"
        guard fenced.isLost else { return TraceError(.configuration, message) }
        let remedy = CheckpointPosition.remedy(for: worker)
        return WorkerLost(cause: TraceError(.corrupt, message, remedy: remedy))
    }

    /// Starts the session that the router has confirmed. A worker without a usable position begins at the router's LSN.
    /// - Throws: `TraceError(.configuration)` if the log begins after the worker's checkpoint.
    private func accept(_ welcome: WorkerWelcome) throws {
        defer { isWelcome = true }
        guard welcome.lsn > appliedLSN || owners.isEmpty else { return }
        // Continue where the router says: there is no checkpoint, or the worker had no slots left and its checkpoint is
        // older than the log's start.
        guard welcome.lsn == appliedLSN || (ownedSlots.isEmpty && gained == nil) else {
            throw TraceError(
                .configuration,
                "The log begins at LSN \(welcome.lsn), behind the checkpoint at \(appliedLSN)"
            )
        }
        appliedLSN = welcome.lsn
        window = welcome.window
        windowBegin = welcome.windowBeginLSN
        owners = welcome.owners
        processor.files.openWindow(window)
        // A worker that joins later gets the state of all its slots from other workers.
        if welcome.lsn > renewed { gained = GainedSlots(lsn: welcome.lsn, slots: ownedSlots) }
        // This checkpoint makes segments of the first window rebuildable too.
        if gained == nil { try checkpoint() }
    }

    // MARK: Applying

    /// Applies the records of a share that are not applied yet.
    /// - Throws: `TraceError(.corrupt)` if the share starts after the applied LSN.
    private func apply(_ header: ShareHeader, _ share: UnsafeRawBufferPointer) throws {
        // Shares of an earlier session may arrive again; a gap can only be an error of the router. Shares after one
        // that could not be applied are sent again together with it.
        guard isWelcome, retryAt == nil, header.toLSN > appliedLSN else { return }
        try lock.check()
        guard header.fromLSN <= appliedLSN else {
            throw TraceError(
                .corrupt,
                "A share begins at LSN \(header.fromLSN), behind \(appliedLSN)"
            )
        }
        guard try takeGainedSlots() else {
            retryAt = WallClock.monotonic() + Self.second / 5
            return
        }
        try unsafe ShareRecord.forEach(in: share) { record in
            // After a barrier that gave slots to this worker nothing is applied until their state is taken in.
            guard record.lsn >= appliedLSN, gained == nil else { return }
            switch record.type {
            case .batch:
                cell?.position = record.lsn
                try applyBatch(record)
                cell?.position = nil
            case .barrier: try applyBarrier(record)
            case .tick: try retryingWhenDiskFull { try processor.tick(arrival: record.arrival) }
            case .fileHead, .damage, .verdict, nil:
                throw TraceError(.corrupt, "A share holds a record of no known type")
            }
        }
        guard gained == nil else {
            retryAt = WallClock.monotonic()
            return
        }
        appliedLSN = header.toLSN
        checkpoints.applied(share.count)
        try checkpointIfDue(.share)
    }

    private func applyBatch(_ record: ShareRecord) throws {
        #if DEBUG
        unsafe faults.strike(record.body)
        #endif
        try unsafe batches.apply(
            record.body,
            host: record.host,
            arrival: record.arrival,
            lsn: record.lsn,
            semantics: record.semantics
        )
    }

    /// Ends the window: closes its segments, writes hand-over files, then a checkpoint, then the announcement. Unless
    /// slots change their owner, the checkpoint and with it the announcement may follow later.
    private func applyBarrier(_ record: ShareRecord) throws {
        let barrier = try unsafe BarrierPayload(decoding: record.body)
        let end = unsafe record.lsn + LSN(LogRecord.stride(payloadBytes: record.body.count))
        var closed: [ClosedFile] = []
        processor.files.crossBarriers(to: barrier.window)
        try retryingWhenDiskFull {
            closed = try processor.finalize(stem: barrier.stem, nextWindow: barrier.window + 1)
        }
        announcements.append(announcement(of: barrier, files: closed, end: end))
        let next = barrier.slotMap.owners(of: worker.resource)
        let isRescaled = next != owners
        try handOver(to: next, at: end)
        window = barrier.window + 1
        windowBegin = end
        appliedLSN = end
        checkpoints.windowEnded()
        if isRescaled { try checkpoint() } else { try checkpointIfDue(.barrier) }
    }

    /// Returns the announcement of a window that a barrier ended at `end`.
    private func announcement(
        of barrier: BarrierPayload,
        files: [ClosedFile],
        end: LSN
    ) -> SegmentsClosed {
        var encoded = RawBuffer()
        if !files.isEmpty { ClosedFile.encode(files, into: &encoded) }
        return SegmentsClosed(
            worker: worker,
            window: barrier.window,
            barrierLSN: end,
            stem: barrier.stem,
            slots: SlotHolding.ranges(of: ownedSlots).map {
                SlotRange(slots: $0, fromLSN: windowBegin, toLSN: end)
            },
            files: unsafe Array(encoded.bytes),
            summary: processor.takeSummary()
        )
    }

    private var ownedSlots: [UInt8] {
        owners.indices.filter { owners[$0] == UInt16(worker.index) }.map { UInt8($0) }
    }

    /// Switches to the new slot map, and writes the state of lost slots to hand-over files for their new owners.
    private func handOver(to next: [UInt16], at lsn: LSN) throws {
        let me = UInt16(worker.index)
        let lost = ownedSlots.filter { next[Int($0)] != me }
        let handover = Handover(resource: worker.resource, lsn: lsn)
        for (receiver, slots) in Dictionary(grouping: lost, by: { next[Int($0)] }) {
            try retryingWhenDiskFull {
                try handover.give(
                    slots,
                    from: worker.index,
                    to: Int(receiver),
                    processor: processor
                )
            }
        }
        for slot in lost { processor.dropState(slot: slot) }
        let new = (0..<Slot.count).filter { owners[$0] != me && next[$0] == me }
        // If the worker was renewed behind this barrier, the state of these slots is set aside with its own.
        if !new.isEmpty, lsn > renewed {
            gained = GainedSlots(lsn: lsn, slots: new.map { UInt8($0) })
        }
        owners = next
    }

    /// Takes in the state of slots gained at the last barrier. Returns false if an old owner's file does not exist yet:
    /// the router waits for the old owners too, but does not remember that after a restart.
    private func takeGainedSlots() throws -> Bool {
        guard let gained else { return true }
        let handover = Handover(resource: worker.resource, lsn: gained.lsn)
        do {
            // Slots bring new hosts, which may evict an idle one.
            batches.forgetHost()
            guard try handover.take(gained.slots, by: worker.index, into: processor, report: note)
            else { return false }
        } catch let error as TraceError where error.code == .corrupt {
            throw WorkerLost(cause: error)
        }
        self.gained = nil
        try checkpoint()
        try handover.remove(for: worker.index)
        return true
    }

    // MARK: Durability

    private func checkpointIfDue(_ moment: CheckpointPlan.Moment) throws {
        if checkpoints.isDue(moment, at: WallClock.monotonic()) { try checkpoint() }
    }

    /// Writes a checkpoint of everything applied. Flushes and syncs all rows first, and retries while the disk is full.
    private func checkpoint() throws {
        var begin: Int64 = 0
        try retryingWhenDiskFull(using: reserve) {
            // Time spent waiting for disk space does not count as the checkpoint's cost.
            begin = WallClock.monotonic()
            try processor.files.flush(.all)
            try processor.files.sync()
            let checkpoint = WorkerCheckpoint(
                lsn: appliedLSN,
                windowBegin: windowBegin,
                window: window,
                gained: gained,
                owners: owners,
                announcements: announcements,
                rules: processor.rules.source,
                renewed: renewed
            )
            try checkpoint.publish(for: worker, processor: processor, slots: ownedSlots)
        }
        keepCheckpoint()
        let hasNews = announcements.contains { $0.barrierLSN > checkpointLSN }
        checkpointLSN = appliedLSN
        reserve.hold()
        checkpoints.written(from: begin, to: WallClock.monotonic())
        checkpointBytes += 2 * UInt64(FileSystem.size(ClusterPaths.checkpoint(of: worker)) ?? 0)
        if hasNews { announce() }
    }

    /// Keeps the window's first checkpoint, from which its damaged segments can be rebuilt.
    private func keepCheckpoint() {
        // As long as gained slots are not taken in, the checkpoint lacks their state.
        guard gained == nil else { return }
        do { try KeptCheckpoints.keep(WorkerWindow(worker: worker, window: window)) } catch {
            logger.warning(
                "The checkpoint is not kept: damaged segments of the window can't be rebuilt",
                metadata: ["window": "\(window)", "error": "\(error)"]
            )
        }
    }

    /// Repeats `body` while the disk is full. It first frees kept checkpoints, then `reserve`, and retries at once; if
    /// there is nothing to free it waits, reporting progress and feeding the watchdog. Any other error ends the
    /// process, and the next one starts from the checkpoint.
    /// - Throws: `StoppedWhileWaiting` on SIGTERM or SIGINT.
    private func retryingWhenDiskFull(
        after first: SystemError? = nil,
        using reserve: CheckpointReserve? = nil,
        _ body: () throws -> Void
    ) throws {
        var failure = first
        var waits = 0
        while true {
            if let failure { guard failure.isOutOfSpace else { throw failure } }
            if let failure, (try? KeptCheckpoints.remove(of: worker)) != true,
                reserve?.giveUp() != true
            {
                if waits == 0 {
                    diskWaits += 1
                    logger.warning("The disk is full; waiting", metadata: ["error": "\(failure)"])
                }
                waits += 1
                try waitForDisk()
            }
            do { return try body() } catch let error as SystemError { failure = error }
        }
    }

    /// Reports progress and feeds the watchdog, so that the worker counts as alive, then waits for 200 ms.
    /// - Throws: `StoppedWhileWaiting` on SIGTERM or SIGINT.
    private func waitForDisk() throws {
        progress()
        watchdog.feed()
        if WallClock.monotonic() - lastStatus >= Self.second { sendStatus() }
        if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 200) != nil {
            throw StoppedWhileWaiting()
        }
    }

    // MARK: Reporting

    /// Reports that the worker is alive during long operations, such as the end of a window with thousands of files.
    private func signOfLife() {
        watchdog.feed()
        let now = WallClock.monotonic()
        if now - lastProgress >= Self.second { progress() }
        if now - lastStatus >= Self.second { sendStatus() }
    }

    /// Asks the router for a session, with the LSNs from which this worker continues.
    private func hello() {
        send(
            .workerHello(
                WorkerHello(
                    worker: worker,
                    incarnation: incarnation,
                    pid: UInt32(getpid()),
                    resumeLSN: appliedLSN,
                    checkpointLSN: checkpointLSN,
                    claim: deaths.claim
                )
            ),
            on: router
        )
    }

    /// Sends the applied and checkpointed LSNs and the output's size to the router.
    private func progress() {
        lastProgress = WallClock.monotonic()
        send(
            .workerProgress(
                WorkerProgress(
                    worker: worker,
                    incarnation: incarnation,
                    appliedLSN: appliedLSN,
                    checkpointLSN: checkpointLSN,
                    window: processor.files.window,
                    windowBytes: UInt64(processor.files.openWindowBytes),
                    mergeBytes: UInt64(processor.files.mergeBytesMax)
                )
            ),
            on: router
        )
    }

    /// Sends the reports that are due. `isIdle` means that no share is waiting.
    private func report(isIdle: Bool = false) {
        let now = WallClock.monotonic()
        if now - lastProgress >= Self.second {
            if isWelcome { progress() } else { hello() }
            lastProgress = now
        }
        if let retryAt, now >= retryAt {
            self.retryAt = nil
            // Until the router answers, shares that were already sent are ignored too.
            isWelcome = false
            hello()
        }
        if now - lastAnnouncement >= 2 * Self.second { announce() }
        if now - lastStatus >= Self.second { sendStatus() }
        // Events are reported only after the router has accepted the LSN from which this worker continues.
        if isWelcome { sendMetrics(isIdle ? .idle : .loaded) }
    }

    /// Announces the windows that a checkpoint contains. Segments of later windows would be truncated after a crash.
    private func announce() {
        lastAnnouncement = WallClock.monotonic()
        for announcement in announcements where announcement.barrierLSN <= checkpointLSN {
            send(.segmentsClosed(announcement), on: aggregator)
        }
    }

    /// Sends a heartbeat with the metrics that do not follow from the log.
    private func sendStatus() {
        lastStatus = WallClock.monotonic()
        statusLSN = appliedLSN
        let snapshot = MetricSnapshot(
            process: worker.description,
            incarnation: incarnation,
            pid: UInt32(getpid()),
            appliedLSN: appliedLSN,
            checkpointLSN: checkpointLSN,
            own: ownSamples()
        )
        send(.metricSnapshot(snapshot), on: aggregator)
    }

    /// Sends the next message of series to the aggregator, if one is due.
    private func sendMetrics(_ load: MetricRounds.Load) {
        let now = WallClock.monotonic()
        guard let message = metrics.next(of: processor, at: appliedLSN, load: load, now: now) else {
            return
        }
        defer { metrics.count(cost: WallClock.monotonic() - now) }
        // A reader that sees a slot's events counted must see the worker's own metrics as of that LSN too.
        if statusLSN != appliedLSN { sendStatus() }
        let series = MetricSeries(
            process: worker.description,
            incarnation: incarnation,
            begins: message.begins,
            sections: message.sections,
            renewedLSN: renewed
        )
        // The aggregator does not get a series that was not sent, so all series are sent anew.
        if !send(.metricSeries(series), on: aggregator) { metrics.beginAnew() }
    }

    private func ownSamples() -> [MetricSample] {
        let counted: [(LossKind, Int)] = [
            (.configurationRefused, refusedRules), (.checkpointDamaged, damagedCopies),
            (.diskFull, diskWaits),
        ]
        let checkpointed: [(MetricFamily, Double)] = [
            (.workerCheckpointsTotal, Double(checkpoints.count)),
            (.workerCheckpointSecondsTotal, Double(checkpoints.nanoseconds) / 1e9),
            (.workerCheckpointBytesTotal, Double(checkpointBytes)),
        ]
        return processor.ownSamples() + metrics.ownSamples()
            + checkpointed.map { family, value in
                MetricSample(family: family, labels: ["\(worker)"], value: .counter(value))
            }
            + counted.filter { $0.1 > 0 }.map { kind, count in
                MetricSample(
                    family: .errorsTotal,
                    labels: [kind.rawValue],
                    value: .counter(Double(count))
                )
            }
    }

    private func receiveFromAggregator() {
        while let message = aggregator.receive() {
            switch try? unsafe ClusterMessage(decoding: message.frame(0)) {
            case .heartbeat:
                metrics.beginAnew()
                announce()
            case .windowMerged(let merged) where merged.failure == nil:
                announcements.removeAll { $0.window == merged.window }
                processor.files.forgetWindow(merged.window)
            default: break
            }
        }
    }

    @discardableResult private func send(_ message: ClusterMessage, on socket: ZMQSocket) -> Bool {
        do { return socket.send(head: try message.encode()) == .sent } catch {
            logger.error("A message could not be made", metadata: ["error": "\(error)"])
            return false
        }
    }
}

// MARK: Within a batch

extension ApplyLoop: BatchObserver {
    func advanced() { watchdog.feed() }

    func writeRows(after error: SystemError) throws {
        try retryingWhenDiskFull(after: error) { try processor.files.flush(.full) }
    }
}

/// SIGTERM or SIGINT arrived while the worker waited for disk space, possibly within a batch.
struct StoppedWhileWaiting: Error {}
