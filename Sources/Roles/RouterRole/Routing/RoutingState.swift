import ClusterMessages
import IngestLog
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// What the thread around `RoutingState` does at once when that asks for it.
protocol RoutingPort: AnyObject {
    /// Sends to a worker, without waiting.
    func send(_ message: RoutingState.Message, to peer: RoutingID) -> ZMQSendResult
    /// Has events of a worker set aside; `RoutingState.closed` follows. False where there is no room for another case.
    func setAside(_ events: DeadLetterCase) -> Bool
    /// Lets operators know.
    func report(_ notice: RoutingState.Notice)
}

/// Decides what each worker is sent: durable groups at once where the worker is up to date, a part of the log where it fell behind or
/// came back, nothing while it is held or waits for slots. A value without sockets, files, clocks and threads: `FabricLoop` feeds it
/// and carries out what it says, and so does the simulator.
///
/// In: groups, hellos, progress, closed dead-letter cases. Out: shares and messages (`RoutingPort`), what is to be read for whom
/// (`readings`), and how far the log is needed. Times are monotonic nanoseconds.
struct RoutingState: ~Copyable {
    enum Message {
        case share(ShareHeader, SharePayload)
        case welcome(WorkerWelcome)
        case fenced(WorkerFenced)
        /// Somebody of whom no hello was heard.
        case whoAreYou
    }

    enum Notice {
        case connected(WorkerHello, resume: LSN)
        /// A worker's checkpoint stands at `resume`, and the log no longer holds that.
        case lost(WorkerName, resume: LSN, log: Range<LSN>)
        /// How long slots stood still.
        case paused(nanoseconds: [Int64])
        case slotsMoved(HandoverPauses.Report)
    }

    /// The log as the other threads know it.
    struct LogExtent {
        /// What can be read.
        var readable: Range<LSN>
        /// Where what workers have to do ends: behind it there are ticks only, which nobody lags behind with.
        var workLSN: LSN
    }

    /// A part of the log that is to be read for a worker that is behind.
    struct Reading {
        let worker: WorkerName
        let from: LSN
        /// The owner of some slot changes there, or the log ends.
        let limit: LSN
    }

    let pool = SharePool()
    private(set) var sessions = WorkerSessions()
    private(set) var maps: SlotMapHistory
    private(set) var verdicts: Verdicts
    /// Everything below has been offered to the workers that were up to date.
    private(set) var routedLSN: LSN
    /// Everything below is in every worker's checkpoint.
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

    /// `maps`, `verdicts`, `counts`, `window`, `damaged`: what recovery found.
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

    /// How far the log goes now; to be called before anything that depends on it.
    mutating func see(_ log: LogExtent) { self.log = log }

    // MARK: Live groups

    /// Sends what has become durable to the workers that are up to date. `groups` follow one another, and none but the last changes
    /// what workers are sent (`FabricInbox.takeStretches`).
    mutating func route(_ groups: [CommitGroup], now: Int64, _ port: some RoutingPort) {
        guard let begin = groups.first?.begin, let end = groups.last?.end else { return }
        let bytes = groups.reduce(0) { $0 + $1.byteCount }
        // A group dropped at the inbox leaves a gap that the log fills; so it does for what no message would hold.
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

    /// Adds a group's records to the shares, and sends those at a barrier; `partBegin` is where what was not sent yet
    /// begins.
    private mutating func add(
        _ group: CommitGroup,
        for live: Set<WorkerName>,
        _ partBegin: inout LSN,
        _ now: Int64,
        _ port: some RoutingPort
    ) {
        for (index, offset) in group.log.offsets.enumerated() {
            let record = group.log.record(at: offset)
            let entry = group.entries[index]
            let end = record.lsn + LSN(record.stride)
            switch record.type {
            case .batch:
                builder.add(
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
                // Shares never reach over a change of owners: who gains slots waits for who loses them.
                send(to: live, from: partBegin, upTo: end, port)
                partBegin = end
                builder.use(maps.current)
            }
        }
    }

    private mutating func passed(_ barrier: BarrierPayload, end: LSN, _ now: Int64) {
        let before = maps.current
        maps.append(barrier, end: end)
        gates.add(from: before, to: barrier.slotMap, at: end)
        pauses.begin(from: before, to: barrier.slotMap, at: end, now: now)
        if before != barrier.slotMap { hasNewHoldings = true }
        window = barrier.window + 1
        sessions.windowChanged()
    }

    private func blocks(_ worker: WorkerName, at lsn: LSN) -> Bool {
        !faults.contains(.openGates) && gates.blocks(worker, at: lsn)
    }

    /// Sends what the builder holds; those for whom it holds nothing have come as far without a message.
    /// Who was not sent the part before, or stands at a gate, reads the log later.
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

    private func isReady(_ worker: WorkerName, at lsn: LSN) -> Bool {
        sessions[worker]?.position == lsn && !blocks(worker, at: lsn)
    }

    private mutating func deliver(
        _ payload: SharePayload,
        to worker: WorkerName,
        upTo end: LSN,
        _ port: some RoutingPort
    ) {
        guard let session = sessions[worker] else { return }
        let header = ShareHeader(
            fromLSN: session.toldLSN,
            toLSN: end,
            headLSN: max(log.readable.upperBound, end)
        )
        switch port.send(.share(header, payload), to: session.peer) {
        case .wouldBlock where !faults.contains(.unsentShares): break
        case .sent, .wouldBlock: sessions.sent(worker, upTo: end, bytes: payload.buffer.count)
        case .noSuchPeer: sessions.end(worker)
        }
    }

    // MARK: Workers behind

    /// What has to be read next for each worker that has not been sent all there is and may be sent more, by name.
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

    /// Whether the worker has not been sent all there is.
    func isBehind(_ worker: WorkerName) -> Bool {
        sessions[worker].map { $0.position < routedLSN } ?? false
    }

    /// Sends what was read. True where there is more to be read at once.
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
        // What was not taken is read again later.
        return sessions[reading.worker]?.position == step.end && step.end < routedLSN
    }

    /// The log cannot be read for a worker.
    mutating func readFailed(_ error: any Error, for reading: Reading, _ port: some RoutingPort) {
        fence(reading.worker, "its part of the log cannot be read: \(error)", port)
    }

    // MARK: What workers say

    mutating func hello(_ hello: WorkerHello, from peer: RoutingID, _ port: some RoutingPort) {
        let worker = hello.worker
        if let old = sessions[worker], old.peer != peer {
            fence(worker, "a newer process of this name has connected", port)
        }
        sessions.end(worker)
        skips.claimed(hello, at: place) { port.setAside($0) }
        // It says hello again in a second.
        guard !skips.holds(worker) || faults.contains(.servedWhileHeld) else { return }
        let begin = log.readable.lowerBound
        let durable = log.readable.upperBound
        // A worker without a checkpoint begins where it first owned a slot; before it owns one, where this
        // state stands: the log's end may lie behind a barrier that gives it slots and is still to come. So
        // does one that the log has gone on without: nothing in there was its own.
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
        // A peer that is gone or full will connect and ask again.
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

    /// Whether the log has lost all from there to where it begins: who stands there is led on.
    private func isLost(_ lsn: LSN) -> Bool {
        damaged.contains { $0.contains(lsn) && $0.upperBound >= log.readable.lowerBound }
    }

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

    private mutating func fence(_ worker: WorkerName, _ reason: String, _ port: some RoutingPort) {
        guard let session = sessions[worker] else { return }
        let fenced = WorkerFenced(worker: worker, incarnation: session.incarnation, reason: reason)
        _ = port.send(.fenced(fenced), to: session.peer)
        sessions.end(worker)
    }

    /// What every worker has in a checkpoint need not be read again.
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

    // MARK: Events set aside

    private var place: SkipCoordinator.Place {
        SkipCoordinator.Place(
            maps: maps,
            verdicts: verdicts,
            log: log.readable,
            routedLSN: routedLSN
        )
    }

    /// An operator's command; `hasCheckpoint`: there is one of the worker.
    mutating func skip(
        _ request: DeadLetterDesk.Skip,
        hasCheckpoint: Bool,
        _ port: some RoutingPort
    ) {
        skips.asked(request, hasCheckpoint: hasCheckpoint, at: place) { port.setAside($0) }
        if skips.holds(request.worker) { sessions.end(request.worker) }
    }

    /// The cases of these workers are closed, and the groups with their verdicts have been routed.
    mutating func closed(_ workers: [WorkerName]) { skips.closed(workers) }

    mutating func aggregatorHeard() { skips.aggregatorHeard() }

    mutating func published(_ window: UInt64, of resource: Resource) {
        skips.published(window, of: resource)
    }

    // MARK: Slots that move

    /// Opens the gates whose givers have come far enough, and measures how long slots stood still.
    mutating func openGates(now: Int64, _ port: some RoutingPort) {
        guard !gates.isEmpty || !pauses.waiting.isEmpty else { return }
        for session in sessions.all {
            gates.checkpointed(session.worker, through: session.checkpointLSN)
        }
        for (worker, lsn) in pauses.waiting where !gates.blocks(worker, at: lsn) {
            guard let session = sessions[worker],
                session.appliedLSN > lsn
                    || (session.position >= routedLSN && session.toldLSN <= lsn)
            else { continue }
            port.report(.paused(nanoseconds: pauses.end(worker, now: now)))
        }
        if let report = pauses.report() { port.report(.slotsMoved(report)) }
    }

    /// Whether every slot has the owner that the last barrier named.
    var isHandedOver: Bool { gates.isEmpty }

    // MARK: What others want to know

    /// Who holds which slots now; nil where that has not changed since it was last asked.
    mutating func takeHoldings() -> [SlotHolding]? {
        guard hasNewHoldings else { return nil }
        hasNewHoldings = false
        return maps.holdings
    }

    /// What the workers have written, and how far each resource has come; nil where that has not changed since it was last asked.
    mutating func takeOutputs() -> OutputReports? {
        guard sessions.hasNewOutputs else { return nil }
        return sessions.outputReports(
            of: maps.current.allWorkers,
            window: window,
            begin: trimmableLSN
        )
    }

    /// Whose checkpoint keeps the log from being trimmed.
    var slowest: (worker: WorkerName, lsn: LSN)? {
        maps.current.allWorkers.map { ($0, sessions[$0]?.checkpointLSN ?? trimmableLSN) }.min {
            $0.1 < $1.1
        }
    }

    /// What the aggregator shows, but for what the router's other threads know.
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
