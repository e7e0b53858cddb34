import ActivityMonitoring
import ClusterMessages
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceMetrics
import TraceModel
import TraceWire
import ZeroMQ

/// The thread that owns the fabric's sockets: sends durable groups to the workers concerned, reads the
/// log again for those that fell behind or came back, and keeps the aggregator informed.
final class FabricLoop {
    private let inbox: FabricInbox
    private let context: RouterContext
    private let logger: Logger
    private let routerSocket: ZMQSocket
    private let aggregator: ZMQSocket
    private var watch: AggregatorWatch
    private let poller = ZMQPoller()
    private let routerSource: ZMQPoller.Source
    private let aggregatorSource: ZMQPoller.Source
    private let wakeupSource: ZMQPoller.Source

    private var sessions: [WorkerName: WorkerSession] = [:]
    private var readers: [WorkerName: CatchUpReader] = [:]
    private var maps: SlotMapHistory
    private var gates = HandoverGates()
    private var verdicts: Verdicts
    /// Workers whose events are being set aside: they are sent nothing meanwhile.
    private var held: Set<WorkerName> = []
    /// The incarnation whose claim has been looked into.
    private var judged: [WorkerName: UInt64] = [:]
    private let desk: DeadLetterDesk
    /// The last window that the aggregator has published, by resource; nil before it has been heard.
    private var published: [Resource: UInt64]?
    /// What each worker said last of its outputs; kept while it is away.
    private var outputs: [WorkerName: OutputReports.Worker] = [:]
    /// Whether it has changed since it was put together.
    private var hasNewOutputs = true
    private var pauses = HandoverPauses()
    private var refusedMessage = Recurrence()
    private var builder: ShareBuilder
    private let pool = SharePool()
    /// Everything below has been offered to the workers that were up to date.
    private var routedLSN: LSN
    private var counts: LogCounts
    private var window: UInt64
    private var reported: RouterStatus?
    /// When groups were last waited for, monotonic ns.
    private var lastGathered: Int64 = 0
    private var lastReport: Int64 = 0

    private static let second: Int64 = 1_000_000_000

    init(
        inbox: FabricInbox, context: RouterContext, maps: SlotMapHistory, verdicts: Verdicts, desk: DeadLetterDesk,
        counts: LogCounts, window: UInt64, logger: Logger
    ) throws {
        self.inbox = inbox
        self.context = context
        self.maps = maps
        self.verdicts = verdicts
        self.desk = desk
        self.counts = counts
        self.window = window
        self.logger = logger
        watch = AggregatorWatch(logger: logger)
        routedLSN = inbox.durableLSN
        context.slotHoldings = maps.holdings
        builder = ShareBuilder(for: [], map: maps.current, pool: pool)
        let zmq = try ZMQContext()
        routerSocket = try ZMQSocket(zmq, .router)
        try routerSocket.bind(ClusterPaths.routerFabric)
        guard let name = RoutingID("router.e\(context.incarnation)") else {
            throw TraceError(.configuration, "The router has no name on the fabric")
        }
        aggregator = try ZMQSocket(zmq, .dealer(name))
        try aggregator.connect(ClusterPaths.aggregatorFabric)
        routerSource = poller.add(routerSocket)
        aggregatorSource = poller.add(aggregator)
        wakeupSource = poller.add(descriptor: inbox.wakeup.descriptor)
    }

    /// Runs until the context says stop.
    func run() {
        var isBusy = false
        while !context.isStopping {
            poller.wait(milliseconds: isBusy ? 0 : 200)
            if !isBusy { gather() }
            inbox.wakeup.clear()
            receiveFromWorkers()
            receiveFromAggregator()
            // Their verdicts are in the inbox already.
            let settled = desk.takeSettled()
            for stretch in inbox.takeStretches() {
                route(stretch.map(\.group))
                for delivery in stretch { delivery.recycle(delivery.group) }
            }
            held.subtract(settled)
            takeSkips()
            isBusy = catchUp()
            openGates()
            putOutputsTogether()
            report()
            watch.tick(now: WallClock.monotonic())
        }
    }

    /// Lets more groups come where one follows another, so that a worker that is woken has what it needs at hand for
    /// many events. Blocks for `Limits.fabricSpacingNanoseconds` at most, and not at all where groups are
    /// further apart or many bytes wait.
    private func gather() {
        let end = lastGathered + Limits.fabricSpacingNanoseconds
        var now = WallClock.monotonic()
        while now < end, inbox.byteCount < Limits.shareMessageBytes {
            usleep(UInt32(min(end - now, Limits.fabricCheckNanoseconds) / 1_000))
            now = WallClock.monotonic()
        }
        lastGathered = now
    }

    // MARK: Live groups

    /// `groups`: a stretch of `FabricInbox`.
    private func route(_ groups: [CommitGroup]) {
        guard let begin = groups.first?.begin, let end = groups.last?.end else { return }
        let bytes = groups.reduce(0) { $0 + $1.byteCount }
        // A group dropped at the inbox leaves a gap that the log fills; so it does for what no message would hold.
        let live = Set(
            sessions.values.filter {
                $0.position == begin && bytes <= Limits.logRecordBytesMax && $0.maySend(bytes: bytes)
                    && !gates.blocks($0.worker, at: begin)
            }.map(\.worker))
        if !builder.serves(live) { builder = ShareBuilder(for: live, map: maps.current, pool: pool) }
        builder.expect(bytes)
        var partBegin = begin
        for group in groups { add(group, for: live, &partBegin) }
        send(to: live, from: partBegin, upTo: end)
        for group in groups {
            for verdict in group.verdicts { verdicts.insert(verdict.range, of: verdict.worker) }
            counts = group.totals
        }
        routedLSN = end
    }

    /// Adds a group's records to the shares, and sends those at a barrier; `partBegin` is where what was not sent yet
    /// begins.
    private func add(_ group: CommitGroup, for live: Set<WorkerName>, _ partBegin: inout LSN) {
        for (index, offset) in group.log.offsets.enumerated() {
            let record = group.log.record(at: offset)
            let entry = group.entries[index]
            let end = record.lsn + LSN(record.stride)
            switch record.type {
            case .batch: builder.add(record, events: group.events, first: entry.firstEvent, count: entry.eventCount)
            case .barrier, .tick: builder.addForAll(record)
            case .fileHead, .damage, .verdict, nil: break
            }
            if let barrier = group.barriers.first(where: { $0.end == end })?.barrier {
                passed(barrier, end: end)
                // Shares never reach over a change of owners: who gains slots waits for who loses them.
                send(to: live, from: partBegin, upTo: end)
                partBegin = end
                builder.use(maps.current)
            }
        }
    }

    private func passed(_ barrier: BarrierPayload, end: LSN) {
        let before = maps.current
        maps.append(barrier, end: end)
        gates.add(from: before, to: barrier.slotMap, at: end)
        pauses.begin(from: before, to: barrier.slotMap, at: end, now: WallClock.monotonic())
        if before != barrier.slotMap { context.slotHoldings = maps.holdings }
        window = barrier.window + 1
        hasNewOutputs = true
    }

    /// Sends what the builder holds; those for whom it holds nothing have come as far without a message.
    /// Who was not sent the part before, or stands at a gate, reads the log later.
    private func send(to live: Set<WorkerName>, from begin: LSN, upTo end: LSN) {
        var silent = live
        for (worker, payload) in builder.finish() {
            silent.remove(worker)
            if isReady(worker, at: begin) { deliver(payload, to: worker, upTo: end) }
        }
        for worker in silent where isReady(worker, at: begin) { sessions[worker]?.skip(to: end) }
    }

    private func isReady(_ worker: WorkerName, at lsn: LSN) -> Bool {
        sessions[worker]?.position == lsn && !gates.blocks(worker, at: lsn)
    }

    private func deliver(_ payload: SharePayload, to worker: WorkerName, upTo end: LSN) {
        guard let session = sessions[worker] else { return }
        let header = ShareHeader(fromLSN: session.toldLSN, toLSN: end, headLSN: inbox.durableLSN)
        do {
            let head = try ClusterMessage.shareHeader(header).encode()
            let result = routerSocket.send(
                to: session.peer, head: head, [.retained(payload.buffer.bytes, owner: payload)])
            switch result {
            case .sent: sessions[worker]?.sent(upTo: end, bytes: payload.buffer.count)
            case .wouldBlock: break
            case .noSuchPeer:
                sessions[worker] = nil
                readers[worker] = nil
                hasNewOutputs = true
            }
        } catch { logger.error("A share could not be sent", metadata: ["error": "\(error)"]) }
    }

    // MARK: Workers behind

    /// One step for each worker that has not been sent all there is; true where there is more to do at
    /// once.
    private func catchUp() -> Bool {
        var isBusy = false
        for (worker, session) in sessions where session.position < routedLSN {
            guard session.maySend(bytes: CatchUpReader.chunkBytes), !gates.blocks(worker, at: session.position) else {
                continue
            }
            do {
                let reader = reader(for: session)
                let limit = gates.limit(for: worker, at: session.position, head: routedLSN)
                let step = try reader.step(from: session.position, limit: limit, maps: maps, verdicts: verdicts)
                if step.payload.buffer.count > 0 {
                    deliver(step.payload, to: worker, upTo: step.end)
                } else {
                    sessions[worker]?.skip(to: step.end)
                }
                let position = sessions[worker]?.position ?? routedLSN
                // What was not taken is read again; who has caught up needs no reader.
                if position != step.end || position >= routedLSN { readers[worker] = nil }
                isBusy = isBusy || (position == step.end && position < routedLSN)
            } catch {
                logger.error(
                    "The log cannot be read for a worker", metadata: ["worker": "\(worker)", "error": "\(error)"])
                fence(session, "its part of the log cannot be read: \(error)")
            }
        }
        return isBusy
    }

    /// The worker's reader where that stands where the worker does. It may not: shares of an earlier
    /// session that were still on their way move a worker on past what this one has read for it.
    private func reader(for session: WorkerSession) -> CatchUpReader {
        if let known = readers[session.worker], known.position == session.position { return known }
        let fresh = CatchUpReader(
            worker: session.worker, salt: context.logSalt, from: session.position, damaged: context.damaged, pool: pool)
        readers[session.worker] = fresh
        return fresh
    }

    // MARK: What workers say

    private func receiveFromWorkers() {
        while let message = routerSocket.receive() {
            guard let peer = message.sender, message.frameCount >= 1 else { continue }
            do {
                switch try ClusterMessage(decoding: message.frame(0)) {
                case .workerHello(let hello): greet(hello, peer: peer)
                case .workerProgress(let progress): note(progress, peer: peer)
                default: break
                }
            } catch {
                guard refusedMessage.isNew("\(peer): \(error)") else { continue }
                logger.warning("A fabric message was refused", metadata: ["peer": "\(peer)", "error": "\(error)"])
            }
        }
    }

    private func greet(_ hello: WorkerHello, peer: RoutingID) {
        if let old = sessions[hello.worker], old.peer != peer {
            fence(old, "a newer process of this name has connected")
        }
        sessions[hello.worker] = nil
        readers[hello.worker] = nil
        // It says hello again in a second.
        guard !held.contains(hello.worker), !isToBeJudged(hello) else { return }
        // A worker without a checkpoint begins where it first owned a slot; before it owns one, where this
        // loop stands: the log's end may lie behind a barrier that gives it slots and is still to come. So
        // does one that the log has gone on without: nothing in there was its own.
        let isReadable = hello.resumeLSN > 0 && (hello.resumeLSN >= context.logBegin || context.isLost(hello.resumeLSN))
        let resume = isReadable ? hello.resumeLSN : maps.firstOwned(by: hello.worker) ?? routedLSN
        guard resume >= context.logBegin || isReadable, resume <= inbox.durableLSN else {
            logger.error(
                "A worker cannot go on from where its checkpoint stands",
                metadata: [
                    "worker": "\(hello.worker)", "lsn": "\(resume)", "log": "\(context.logBegin)..<\(inbox.durableLSN)",
                ])
            let gone = WorkerFenced(
                worker: hello.worker, incarnation: hello.incarnation,
                reason: "the log holds \(context.logBegin)..<\(inbox.durableLSN), not \(resume)", isLost: true)
            send(.workerFenced(gone), to: peer)
            return
        }
        hasNewOutputs = true
        sessions[hello.worker] = WorkerSession(
            worker: hello.worker, peer: peer, incarnation: hello.incarnation, pid: hello.pid, resume: resume,
            checkpoint: min(hello.checkpointLSN, resume))
        logger.info(
            "Worker connected", metadata: ["worker": "\(hello.worker)", "pid": "\(hello.pid)", "lsn": "\(resume)"])
        let place = maps.place(at: resume)
        send(
            .workerWelcome(
                WorkerWelcome(
                    lsn: resume, window: place.window, windowBeginLSN: place.windowBegin,
                    owners: place.map.owners(of: hello.worker.resource))), to: peer)
    }

    // MARK: Events set aside

    /// Whether the worker has to wait until what it claims to die of has been set aside. Each incarnation is
    /// heard once: where its claim does not hold, it goes on as it can.
    private func isToBeJudged(_ hello: WorkerHello) -> Bool {
        guard let claim = hello.claim, judged[hello.worker] != hello.incarnation,
            claim.lsn >= max(hello.resumeLSN, context.logBegin), claim.lsn < inbox.durableLSN,
            !verdicts.covers(hello.worker, claim.lsn)
        else { return false }
        judged[hello.worker] = hello.incarnation
        let isTaken = desk.submit(
            DeadLetterCase(
                worker: hello.worker, ground: .crash(claim.lsn, reason: claim.reason), maps: maps, verdicts: verdicts,
                answer: { _ in }))
        if isTaken { held.insert(hello.worker) }
        return isTaken
    }

    /// Begins what operators ask for.
    private func takeSkips() {
        for request in desk.takeRequests() {
            // One that owns nothing any more may come back to what it had saved.
            let checkpoint = ClusterPaths.checkpoint(of: request.worker)
            guard maps.current.allWorkers.contains(request.worker) || FileSystem.exists(checkpoint) else {
                let error = TraceError(.notFound, "There is no worker \(request.worker)")
                request.answer(.failure(error))
                continue
            }
            let isTaken =
                !held.contains(request.worker)
                && desk.submit(
                    DeadLetterCase(
                        worker: request.worker,
                        ground: .skip(
                            // Behind it the owners of slots are not known yet.
                            to: min(request.to, routedLSN),
                            renewal: renewal(of: request.worker, counted: request.counted)), maps: maps,
                        verdicts: verdicts, answer: request.answer))
            guard isTaken else {
                let error = TraceError(
                    .exhausted, "Events of \(request.worker) are being set aside already",
                    remedy: "Try again in a moment")
                request.answer(.failure(error))
                continue
            }
            held.insert(request.worker)
            sessions[request.worker] = nil
            readers[request.worker] = nil
        }
    }

    private func renewal(of worker: WorkerName, counted: LSN?) -> WorkerRenewal {
        let begin = context.logBegin
        guard let published else { return WorkerRenewal(begin: nil, isCutOff: false, counted: counted) }
        let next = published[worker.resource].map { $0 + 1 } ?? 0
        // What lies before the history has been trimmed with the log.
        let open = maps.begin(of: next)
        return WorkerRenewal(
            begin: max(open ?? begin, begin, maps.firstOwned(by: worker) ?? 0),
            isCutOff: open.map { $0 < begin } ?? true, counted: counted)
    }

    private func note(_ progress: WorkerProgress, peer: RoutingID) {
        guard let session = sessions[progress.worker], session.peer == peer else {
            // Somebody this router has not met: it is asked who it is.
            let question = Heartbeat(
                process: MetricSnapshot.router, incarnation: context.incarnation, pid: UInt32(getpid()))
            return send(.heartbeat(question), to: peer)
        }
        let isPlausible =
            sessions[progress.worker]?.progressed(
                applied: progress.appliedLSN, checkpoint: progress.checkpointLSN, head: inbox.durableLSN) ?? false
        if !isPlausible { fence(session, "its progress makes no sense: \(progress)") }
        outputs[progress.worker] = OutputReports.Worker(
            checkpointLSN: progress.checkpointLSN, window: progress.window,
            windowBytes: Int(clamping: progress.windowBytes), mergeBytes: Int(clamping: progress.mergeBytes))
        hasNewOutputs = true
        trim()
    }

    /// Tells the committer what the workers have written, and how far each resource has come.
    private func putOutputsTogether() {
        guard hasNewOutputs else { return }
        hasNewOutputs = false
        let workers = maps.current.allWorkers
        context.outputs = OutputReports(
            window: window, begin: inbox.trimmableLSN,
            workers: workers.map { ($0, outputs[$0], sessions[$0]?.appliedLSN) })
    }

    private func fence(_ session: WorkerSession, _ reason: String) {
        let fenced = WorkerFenced(worker: session.worker, incarnation: session.incarnation, reason: reason)
        send(.workerFenced(fenced), to: session.peer)
        hasNewOutputs = true
        sessions[session.worker] = nil
        readers[session.worker] = nil
    }

    private func send(_ message: ClusterMessage, to peer: RoutingID) {
        do {
            // A peer that is gone or full will connect and ask again.
            _ = routerSocket.send(to: peer, head: try message.encode())
        } catch { logger.error("A fabric message could not be made", metadata: ["error": "\(error)"]) }
    }

    /// What every worker has in a checkpoint need not be read again.
    private func trim() {
        guard let below = maps.trimmable({ sessions[$0]?.checkpointLSN }) else { return }
        inbox.trimmableLSN = below
        maps.trim(below: below)
        verdicts.trim(below: context.logBegin)
    }

    private func openGates() {
        for (worker, session) in sessions { gates.checkpointed(worker, through: session.checkpointLSN) }
        context.waiters.handedOver(window: window, isComplete: gates.isEmpty)
        measurePauses()
    }

    private func measurePauses() {
        for (worker, lsn) in pauses.waiting where !gates.blocks(worker, at: lsn) {
            guard let session = sessions[worker],
                session.appliedLSN > lsn || (session.position >= routedLSN && session.toldLSN <= lsn)
            else { continue }
            let slots = pauses.end(worker, now: WallClock.monotonic())
            context.slotMoves.record(nanoseconds: slots)
        }
        guard let report = pauses.report() else { return }
        logger.info(
            "Slots moved",
            metadata: [
                "slots": "\(report.slots)", "median_ms": "\(report.median / 1_000_000)",
                "worst_ms": "\(report.worst / 1_000_000)",
            ])
    }

    // MARK: The aggregator

    private func receiveFromAggregator() {
        while let message = aggregator.receive() {
            watch.heard(now: WallClock.monotonic())
            guard message.frameCount >= 1 else { continue }
            guard let content = try? ClusterMessage(decoding: message.frame(0)) else { continue }
            // It says hello first, and then what is published.
            if published == nil { published = [:] }
            if case .heartbeat(let beat) = content, let events = beat.unaccountedEvents { context.settle(events) }
            guard case .windowMerged(let merged) = content else { continue }
            context.waiters.merged(merged)
            guard merged.failure == nil else { continue }
            let known = published?[merged.resource] ?? 0
            published?[merged.resource] = max(known, merged.window)
        }
    }

    private func report() {
        let now = WallClock.monotonic()
        let status = status()
        guard status != reported || now - lastReport >= Self.second else { return }
        guard now - lastReport >= Self.second / 5 else { return }
        context.slowest = slowest()
        let snapshot = MetricSnapshot(
            process: MetricSnapshot.router, incarnation: context.incarnation, pid: UInt32(getpid()),
            appliedLSN: routedLSN, checkpointLSN: inbox.trimmableLSN, headLSN: inbox.durableLSN,
            own: context.ownSamples(head: inbox.durableLSN), router: status)
        guard let bytes = try? ClusterMessage.metricSnapshot(snapshot).encode() else { return }
        if aggregator.send(head: bytes) == .sent {
            reported = status
            lastReport = now
        }
    }

    /// Whose checkpoint keeps the log from being trimmed.
    private func slowest() -> (worker: WorkerName, lsn: LSN)? {
        maps.current.allWorkers.map { ($0, sessions[$0]?.checkpointLSN ?? inbox.trimmableLSN) }.min { $0.1 < $1.1 }
    }

    private func status() -> RouterStatus {
        RouterStatus(
            headLSN: inbox.durableLSN, receivedEvents: counts.acceptedTotal + counts.deduplicated + counts.rejected,
            deduplicatedEvents: counts.deduplicated, rejectedEvents: counts.rejected,
            deadLetteredEvents: counts.deadLettered,
            workers: maps.current.allWorkers.map { worker in
                let applied = sessions[worker]?.appliedLSN
                let (lag, isNone) = inbox.workLSN.subtractingReportingOverflow(applied ?? inbox.trimmableLSN)
                return WorkerLink(worker: worker, connected: applied != nil, lagBytes: isNone ? 0 : lag)
            }, window: window, draining: context.isDraining, accepting: !context.isDraining && context.obstacle == nil,
            uncertainEvents: context.uncertainEvents)
    }
}
