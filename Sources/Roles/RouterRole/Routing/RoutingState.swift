import ClusterMessages
import IngestLog
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Actions of `RoutingState` that the thread around it carries out at once.
protocol RoutingPort: AnyObject {
    /// Sends to a worker without waiting.
    func send(_ message: RoutingState.Message, to peer: RoutingID) -> ZMQSendResult
    /// Submits events of a worker to be set aside; `RoutingState.closed` must follow. Returns false if there is no room
    /// for another case.
    func setAside(_ events: DeadLetterCase) -> Bool
    /// Logs or measures a notice.
    func report(_ notice: RoutingState.Notice)
}

/// Decides what each worker is sent: durable groups at once if the worker is up to date, a part of the log if it fell
/// behind or came back, nothing while it is held or waits for slots. A value without sockets, files, clocks or threads:
/// `FabricLoop` passes input to it and carries out its decisions, and so does the simulator.
///
/// Input: groups, hellos, progress, closed dead-letter cases. Output: shares and messages (`RoutingPort`), what is to
/// be read for which worker (`readings`), and from where on the log is needed. Times are monotonic nanoseconds.
struct RoutingState: ~Copyable {
    /// A message to a worker.
    enum Message {
        case share(ShareHeader, SharePayload)
        case welcome(WorkerWelcome)
        case fenced(WorkerFenced)
        /// Asks an unknown sender for a hello.
        case whoAreYou
    }

    /// Something to log or to measure.
    enum Notice {
        case connected(WorkerHello, resume: LSN)
        /// The log no longer contains `resume`, the LSN of a worker's checkpoint.
        case lost(WorkerName, resume: LSN, log: Range<LSN>)
        /// How long slots were paused during a hand-over.
        case paused(nanoseconds: [Int64])
        case slotsMoved(HandoverPauses.Report)
    }

    /// The extent of the log as known to the other threads.
    struct LogExtent {
        /// The readable range.
        var readable: Range<LSN>
        /// The end of the records that workers have to process. Only ticks follow, which do not count as lag.
        var workLSN: LSN
    }

    /// A part of the log to be read for a worker that is behind.
    struct Reading {
        let worker: WorkerName
        let from: LSN
        /// The end of the part: the owner of some slot changes there, or the log ends.
        let limit: LSN
    }

    let pool = SharePool()
    private(set) var sessions = WorkerSessions()
    private(set) var maps: SlotMapHistory
    private(set) var verdicts: Verdicts
    /// All records below this LSN have been offered to the workers that were up to date.
    private(set) var routedLSN: LSN
    /// All records below this LSN are in every worker's checkpoint.
    private(set) var trimmableLSN: LSN = 0
    private(set) var window: UInt64

    private var log: LogExtent
    private let damaged: [Range<LSN>]
    private var counts: LogCounts
    private var gates = HandoverGates()
    private var pauses = HandoverPauses()
    private var skips = SkipCoordinator()
    private var builder: ShareBuilder
    private var hasNewHoldings = true
    private let faults: RouterFaults

    /// `maps`, `verdicts`, `counts`, `window` and `damaged` are the result of recovery.
    init(
        maps: SlotMapHistory,
        verdicts: Verdicts,
        counts: LogCounts,
        window: UInt64,
        log: Range<LSN>,
        damaged: [Range<LSN>],
        faults: RouterFaults = []
    ) {
        self.maps = maps
        self.verdicts = faults.contains(.forgottenVerdicts) ? Verdicts() : verdicts
        self.counts = counts
        self.window = window
        self.log = LogExtent(readable: log, workLSN: log.upperBound)
        self.damaged = damaged
        self.faults = faults
        routedLSN = log.upperBound
        builder = ShareBuilder(for: [], map: maps.current, pool: pool)
    }

    /// Sets the log's current extent; call it before anything that depends on that.
    mutating func see(_ log: LogExtent) { self.log = log }

    // MARK: Live groups

    /// Sends durable groups to the workers that are up to date. The groups are adjacent, and only the last one may
    /// change what workers are sent (`FabricInbox.takeSpans`).
    mutating func route(_ groups: [CommitGroup], now: Int64, _ port: some RoutingPort) {
        guard let begin = groups.first?.begin, let end = groups.last?.end else { return }
        let bytes = groups.reduce(0) { $0 + $1.byteCount }
        // A group dropped at the inbox leaves a gap, which is filled from the log, and so is a group too large for a
        // message.
        let live = Set(
            sessions.all.filter {
                $0.position == begin && bytes <= Limits.logRecordBytesMax
                    && $0.maySend(bytes: bytes)
                    && !blocks($0.worker, at: begin)
            }.map(\.worker)
        )
        if !builder.serves(live) {
            builder = ShareBuilder(for: live, map: maps.current, pool: pool)
        }
        builder.expect(bytes)
        var partBegin = begin
        for group in groups { add(group, for: live, &partBegin, now, port) }
        send(to: live, from: partBegin, upTo: end, port)
        for group in groups {
            for verdict in group.verdicts { verdicts.insert(verdict.range, of: verdict.worker) }
            counts = group.totals
        }
        routedLSN = end
    }

    /// Adds a group's records to the shares, and sends the shares at a barrier. `partBegin` is the start of what was
    /// not sent yet.
    private mutating func add(
        _ group: CommitGroup,
        for live: Set<WorkerName>,
        _ partBegin: inout LSN,
        _ now: Int64,
        _ port: some RoutingPort
    ) {
        for (index, offset) in unsafe group.log.offsets.enumerated() {
            let record = unsafe group.log.record(at: offset)
            let entry = group.entries[index]
            let end = record.lsn + LSN(record.stride)
            switch record.type {
            case .batch:
                unsafe builder.add(
                    record,
                    events: group.events,
                    first: entry.firstEvent,
                    count: entry.eventCount
                )
            case .barrier, .tick: builder.addForAll(record)
            case .fileHead, .damage, .verdict, nil: break
            }
            if let barrier = group.barriers.first(where: { $0.end == end })?.barrier {
                passed(barrier, end: end, now)
                // A share never spans a change of owners, because the new owners have to wait for the old ones.
                send(to: live, from: partBegin, upTo: end, port)
                partBegin = end
                builder.use(maps.current)
            }
        }
    }

    /// Switches to the slot map and window after a barrier that ends at `end`.
    private mutating func passed(_ barrier: BarrierPayload, end: LSN, _ now: Int64) {
        let before = maps.current
        maps.append(barrier, end: end)
        gates.add(from: before, to: barrier.slotMap, at: end)
        pauses.begin(from: before, to: barrier.slotMap, at: end, now: now)
        if before != barrier.slotMap { hasNewHoldings = true }
        window = barrier.window + 1
        sessions.windowChanged()
    }

    /// Returns whether a gate keeps the worker from being sent records from `lsn` on.
    private func blocks(_ worker: WorkerName, at lsn: LSN) -> Bool {
        !faults.contains(.openGates) && gates.blocks(worker, at: lsn)
    }

    /// Sends the builder's shares; workers without one advance without a message. A worker that was not sent the
    /// previous part, or is blocked by a gate, reads this part from the log later.
    private mutating func send(
        to live: Set<WorkerName>,
        from begin: LSN,
        upTo end: LSN,
        _ port: some RoutingPort
    ) {
        var silent = live
        for (worker, payload) in builder.finish() {
            silent.remove(worker)
            if isReady(worker, at: begin) { deliver(payload, to: worker, upTo: end, port) }
        }
        for worker in silent where isReady(worker, at: begin) { sessions.skip(worker, to: end) }
    }

    /// Returns whether the worker was sent everything below `lsn`, and no gate blocks it there.
    private func isReady(_ worker: WorkerName, at lsn: LSN) -> Bool {
        sessions[worker]?.position == lsn && !blocks(worker, at: lsn)
    }

    /// Sends a share that ends at `end`. If the socket does not accept it, the worker reads the log later.
    private mutating func deliver(
        _ payload: SharePayload,
        to worker: WorkerName,
        upTo end: LSN,
        _ port: some RoutingPort
    ) {
        guard let session = sessions[worker] else { return }
        let header = ShareHeader(
            fromLSN: session.sentLSN,
            toLSN: end,
            headLSN: max(log.readable.upperBound, end)
        )
        switch port.send(.share(header, payload), to: session.peer) {
        case .wouldBlock where !faults.contains(.unsentShares): break
        case .sent, .wouldBlock: sessions.sent(worker, upTo: end, bytes: payload.buffer.count)
        case .noSuchPeer: sessions.end(worker)
        }
    }

    // MARK: Catch-up

    /// The next readings, one for each worker that is behind and may be sent more, sorted by name.
    var readings: [Reading] {
        sessions.all.filter {
            $0.position < routedLSN && $0.maySend(bytes: CatchUpReader.chunkBytes)
                && !blocks($0.worker, at: $0.position)
        }.map { session in
            let limit =
                faults.contains(.openGates)
                ? routedLSN
                : gates.limit(for: session.worker, at: session.position, head: routedLSN)
            return Reading(worker: session.worker, from: session.position, limit: limit)
        }.sorted {
            ($0.worker.resource.rawValue, $0.worker.index) < (
                $1.worker.resource.rawValue, $1.worker.index
            )
        }
    }

    /// Returns whether the worker has not been sent everything routed.
    func isBehind(_ worker: WorkerName) -> Bool {
        sessions[worker].map { $0.position < routedLSN } ?? false
    }

    /// Sends what was read. Returns true if more can be read at once.
    mutating func read(
        _ step: CatchUpReader.Step,
        for reading: Reading,
        _ port: some RoutingPort
    ) -> Bool {
        if step.payload.buffer.count > 0 {
            deliver(step.payload, to: reading.worker, upTo: step.end, port)
        } else {
            sessions.skip(reading.worker, to: step.end)
        }
        // A share that the socket did not accept is read again later.
        return sessions[reading.worker]?.position == step.end && step.end < routedLSN
    }

    /// Disconnects a worker whose part of the log cannot be read.
    mutating func readFailed(_ error: any Error, for reading: Reading, _ port: some RoutingPort) {
        fence(reading.worker, "its part of the log cannot be read: \(error)", port)
    }

    // MARK: Messages of workers

    /// Starts a session with the worker that sent the hello, or refuses it. A session of an older process of that name
    /// ends.
    mutating func hello(_ hello: WorkerHello, from peer: RoutingID, _ port: some RoutingPort) {
        let worker = hello.worker
        if let old = sessions[worker], old.peer != peer {
            fence(worker, "a newer process of this name has connected", port)
        }
        sessions.end(worker)
        skips.claimed(hello, at: place) { port.setAside($0) }
        // A worker that is held sends another hello in a second.
        guard !skips.holds(worker) || faults.contains(.servedWhileHeld) else { return }
        let begin = log.readable.lowerBound
        let durable = log.readable.upperBound
        // A worker without a checkpoint begins where it first owned a slot; if it owns none yet, it begins at
        // `routedLSN`, because there may be a barrier before the log's end that gives it slots and is not routed yet.
        // The same holds for a worker whose checkpoint is below a trimmed part of the log: nothing in that part was its
        // own.
        let isReadable =
            hello.resumeLSN > 0 && (hello.resumeLSN >= begin || isLost(hello.resumeLSN))
        let resume = isReadable ? hello.resumeLSN : maps.firstOwned(by: worker) ?? routedLSN
        guard resume >= begin || isReadable, resume <= durable else {
            port.report(.lost(worker, resume: resume, log: log.readable))
            let gone = WorkerFenced(
                worker: worker,
                incarnation: hello.incarnation,
                reason: "the log holds \(begin)..<\(durable), not \(resume)",
                isLost: true
            )
            _ = port.send(.fenced(gone), to: peer)
            return
        }
        sessions.begin(
            WorkerSession(
                worker: worker,
                peer: peer,
                incarnation: hello.incarnation,
                pid: hello.pid,
                resume: resume,
                checkpoint: min(hello.checkpointLSN, resume)
            )
        )
        port.report(.connected(hello, resume: resume))
        let place = maps.place(at: resume)
        // If the peer is gone or its queue is full, it connects and asks again.
        _ = port.send(
            .welcome(
                WorkerWelcome(
                    lsn: resume,
                    window: place.window,
                    windowBeginLSN: place.windowBegin,
                    owners: place.map.owners(of: worker.resource)
                )
            ),
            to: peer
        )
    }

    /// Returns whether the log has lost everything from there to its start: workers at that LSN skip the range.
    private func isLost(_ lsn: LSN) -> Bool {
        damaged.contains { $0.contains(lsn) && $0.upperBound >= log.readable.lowerBound }
    }

    /// Handles a worker's progress report; a worker whose report cannot be true is disconnected.
    mutating func progress(
        _ progress: WorkerProgress,
        from peer: RoutingID,
        _ port: some RoutingPort
    ) {
        guard let session = sessions[progress.worker], session.peer == peer else {
            _ = port.send(.whoAreYou, to: peer)
            return
        }
        if !sessions.progressed(progress, head: log.readable.upperBound) {
            fence(session.worker, "its progress makes no sense: \(progress)", port)
        }
        trim()
    }

    /// Ends the worker's session, and sends it the reason.
    private mutating func fence(_ worker: WorkerName, _ reason: String, _ port: some RoutingPort) {
        guard let session = sessions[worker] else { return }
        let fenced = WorkerFenced(worker: worker, incarnation: session.incarnation, reason: reason)
        _ = port.send(.fenced(fenced), to: session.peer)
        sessions.end(worker)
    }

    /// Trims the log's need: records that are in the checkpoints of all workers are not read again.
    private mutating func trim() {
        let below = maps.trimmable {
            faults.contains(.trimmedToApplied)
                ? sessions[$0]?.appliedLSN : sessions[$0]?.checkpointLSN
        }
        guard let below else { return }
        trimmableLSN = below
        maps.trim(below: below)
        verdicts.trim(below: log.readable.lowerBound)
    }

    // MARK: Dead letters

    private var place: SkipCoordinator.Place {
        SkipCoordinator.Place(
            maps: maps,
            verdicts: verdicts,
            log: log.readable,
            routedLSN: routedLSN
        )
    }

    /// Handles an operator's command; `hasCheckpoint` tells whether there is a checkpoint of the worker.
    mutating func skip(
        _ request: DeadLetterCoordinator.Skip,
        hasCheckpoint: Bool,
        _ port: some RoutingPort
    ) {
        skips.asked(request, hasCheckpoint: hasCheckpoint, at: place) { port.setAside($0) }
        if skips.holds(request.worker) { sessions.end(request.worker) }
    }

    /// Resumes workers whose cases are closed; the groups with their verdicts have been routed.
    mutating func closed(_ workers: [WorkerName]) { skips.closed(workers) }

    /// Notes that the aggregator has connected.
    mutating func aggregatorHeard() { skips.aggregatorHeard() }

    /// Notes that the aggregator has published a window.
    mutating func published(_ window: UInt64, of resource: Resource) {
        skips.published(window, of: resource)
    }

    // MARK: Hand-over of slots

    /// Opens the gates whose old owners have reached their barrier with a checkpoint, and measures how long slots were
    /// paused.
    mutating func openGates(now: Int64, _ port: some RoutingPort) {
        guard !gates.isEmpty || !pauses.waiting.isEmpty else { return }
        for session in sessions.all {
            gates.checkpointed(session.worker, through: session.checkpointLSN)
        }
        for (worker, lsn) in pauses.waiting where !gates.blocks(worker, at: lsn) {
            guard let session = sessions[worker],
                session.appliedLSN > lsn
                    || (session.position >= routedLSN && session.sentLSN <= lsn)
            else { continue }
            port.report(.paused(nanoseconds: pauses.end(worker, now: now)))
        }
        if let report = pauses.report() { port.report(.slotsMoved(report)) }
    }

    /// Whether every slot has the owner of the last barrier's map.
    var isHandedOver: Bool { gates.isEmpty }

    // MARK: Reports

    /// Returns the current owners of slots; nil if they have not changed since the last call.
    mutating func takeHoldings() -> [SlotHolding]? {
        guard hasNewHoldings else { return nil }
        hasNewHoldings = false
        return maps.holdings
    }

    /// Returns the workers' output and the progress of each resource; nil if that has not changed since the last call.
    mutating func takeOutputs() -> OutputReports? {
        guard sessions.hasNewOutputs else { return nil }
        return sessions.outputReports(
            of: maps.current.allWorkers,
            window: window,
            begin: trimmableLSN
        )
    }

    /// The worker whose checkpoint keeps the log from being trimmed, and its LSN.
    var slowest: (worker: WorkerName, lsn: LSN)? {
        maps.current.allWorkers.map { ($0, sessions[$0]?.checkpointLSN ?? trimmableLSN) }.min {
            $0.1 < $1.1
        }
    }

    /// The status for the aggregator, except for what only other threads know.
    var status: RouterStatus {
        RouterStatus(
            headLSN: log.readable.upperBound,
            receivedEvents: counts.acceptedTotal + counts.deduplicated + counts.rejected,
            deduplicatedEvents: counts.deduplicated,
            rejectedEvents: counts.rejected,
            deadLetteredEvents: counts.deadLettered,
            workers: maps.current.allWorkers.map { worker in
                let applied = sessions[worker]?.appliedLSN
                let (lag, isNone) = log.workLSN.subtractingReportingOverflow(
                    applied ?? trimmableLSN
                )
                return WorkerLink(
                    worker: worker,
                    connected: applied != nil,
                    lagBytes: isNone ? 0 : lag
                )
            },
            window: window
        )
    }
}
