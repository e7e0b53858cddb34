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
    private let poller = ZMQPoller()
    private let routerSource: ZMQPoller.Source
    private let aggregatorSource: ZMQPoller.Source
    private let wakeupSource: ZMQPoller.Source

    private var sessions: [WorkerName: WorkerSession] = [:]
    private var readers: [WorkerName: CatchUpReader] = [:]
    private var maps: SlotMapHistory
    private var gates = HandoverGates()
    private var builder: ShareBuilder
    /// Everything below has been offered to the workers that were up to date.
    private var routedLSN: LSN
    private var counts: LogCounts
    private var window: UInt64
    private var reported: RouterStatus?
    private var lastReport: Int64 = 0

    private static let second: Int64 = 1_000_000_000

    init(
        inbox: FabricInbox,
        context: RouterContext,
        maps: SlotMapHistory,
        counts: LogCounts,
        window: UInt64,
        logger: Logger
    ) throws {
        self.inbox = inbox
        self.context = context
        self.maps = maps
        self.counts = counts
        self.window = window
        self.logger = logger
        routedLSN = inbox.durableLSN
        builder = ShareBuilder(for: [], map: maps.current)
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
            inbox.wakeup.clear()
            receiveFromWorkers()
            receiveFromAggregator()
            for delivery in inbox.take() {
                route(delivery.group)
                delivery.recycle(delivery.group)
            }
            isBusy = catchUp()
            openGates()
            report()
        }
    }

    // MARK: Live groups

    private func route(_ group: CommitGroup) {
        // A group dropped at the inbox leaves a gap that the log fills.
        let live = Set(
            sessions.values.filter {
                $0.position == group.begin && $0.maySend(bytes: group.byteCount)
                    && !gates.blocks($0.worker, at: group.begin)
            }.map(\.worker)
        )
        if !builder.serves(live) {
            builder = ShareBuilder(for: live, map: maps.current)
        }
        var partBegin = group.begin
        var end = group.begin
        for (index, offset) in group.log.offsets.enumerated() {
            let record = group.log.record(at: offset)
            let entry = group.entries[index]
            end = record.lsn + LSN(record.stride)
            if record.type == .batch {
                builder.add(
                    record,
                    events: group.events,
                    first: entry.firstEvent,
                    count: entry.eventCount
                )
            } else {
                builder.addForAll(record)
            }
            if let barrier = group.barriers.first(where: { $0.end == end })?.barrier {
                passed(barrier, end: end)
                // Shares never reach over a change of owners: who gains slots waits for who loses them.
                send(to: live, from: partBegin, upTo: end)
                partBegin = end
                builder.use(maps.current)
            }
        }
        send(to: live, from: partBegin, upTo: group.end)
        routedLSN = group.end
        counts = group.totals
    }

    private func passed(_ barrier: BarrierPayload, end: LSN) {
        let before = maps.current
        maps.append(barrier, end: end)
        gates.add(from: before, to: barrier.slotMap, at: end)
        window = barrier.window + 1
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
        let header = ShareHeader(
            fromLSN: session.toldLSN,
            toLSN: end,
            headLSN: inbox.durableLSN
        )
        do {
            let head = try ClusterMessage.shareHeader(header).encode()
            let result = routerSocket.send(
                to: session.peer,
                head: head,
                [.retained(payload.buffer.bytes, owner: payload)]
            )
            switch result {
            case .sent:
                sessions[worker]?.sent(upTo: end, bytes: payload.buffer.count)
            case .wouldBlock:
                break
            case .noSuchPeer:
                sessions[worker] = nil
                readers[worker] = nil
            }
        } catch {
            logger.error("A share could not be sent", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Workers behind

    /// One step for each worker that has not been sent all there is; true where there is more to do at
    /// once.
    private func catchUp() -> Bool {
        var isBusy = false
        for (worker, session) in sessions where session.position < routedLSN {
            guard session.maySend(bytes: CatchUpReader.chunkBytes),
                !gates.blocks(worker, at: session.position)
            else { continue }
            do {
                let reader = reader(for: session)
                let limit = gates.limit(for: worker, at: session.position, head: routedLSN)
                let step = try reader.step(from: session.position, limit: limit, maps: maps)
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
                    "The log cannot be read for a worker",
                    metadata: ["worker": "\(worker)", "error": "\(error)"]
                )
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
            worker: session.worker,
            salt: context.logSalt,
            from: session.position,
            damaged: context.damaged
        )
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
                logger.warning(
                    "A fabric message was refused",
                    metadata: ["peer": "\(peer)", "error": "\(error)"]
                )
            }
        }
    }

    private func greet(_ hello: WorkerHello, peer: RoutingID) {
        if let old = sessions[hello.worker], old.peer != peer {
            fence(old, "a newer process of this name has connected")
        }
        sessions[hello.worker] = nil
        readers[hello.worker] = nil
        // A worker without a checkpoint begins where it first owned a slot.
        let resume =
            hello.resumeLSN > 0
            ? hello.resumeLSN : maps.firstOwned(by: hello.worker) ?? inbox.durableLSN
        guard resume >= context.logBegin, resume <= inbox.durableLSN else {
            logger.error(
                "A worker cannot go on from where its checkpoint stands",
                metadata: [
                    "worker": "\(hello.worker)", "lsn": "\(resume)",
                    "log": "\(context.logBegin)..<\(inbox.durableLSN)",
                ]
            )
            let gone = WorkerFenced(
                worker: hello.worker,
                incarnation: hello.incarnation,
                reason: "the log holds \(context.logBegin)..<\(inbox.durableLSN), not \(resume)"
            )
            send(.workerFenced(gone), to: peer)
            return
        }
        sessions[hello.worker] = WorkerSession(
            worker: hello.worker,
            peer: peer,
            incarnation: hello.incarnation,
            pid: hello.pid,
            resume: resume,
            checkpoint: min(hello.checkpointLSN, resume)
        )
        logger.info(
            "Worker connected",
            metadata: ["worker": "\(hello.worker)", "pid": "\(hello.pid)", "lsn": "\(resume)"]
        )
        let place = maps.place(at: resume)
        send(
            .workerWelcome(
                WorkerWelcome(
                    lsn: resume,
                    window: place.window,
                    windowBeginLSN: place.windowBegin,
                    owners: place.map.owners(of: hello.worker.resource)
                )
            ),
            to: peer
        )
    }

    private func note(_ progress: WorkerProgress, peer: RoutingID) {
        guard let session = sessions[progress.worker], session.peer == peer else {
            // Somebody this router has not met: it is asked who it is.
            let question = Heartbeat(
                process: MetricSnapshot.router,
                incarnation: context.incarnation,
                pid: UInt32(getpid())
            )
            return send(.heartbeat(question), to: peer)
        }
        let isPlausible =
            sessions[progress.worker]?.progressed(
                applied: progress.appliedLSN,
                checkpoint: progress.checkpointLSN,
                head: inbox.durableLSN
            ) ?? false
        if !isPlausible { fence(session, "its progress makes no sense: \(progress)") }
        trim()
    }

    private func fence(_ session: WorkerSession, _ reason: String) {
        let fenced = WorkerFenced(
            worker: session.worker,
            incarnation: session.incarnation,
            reason: reason
        )
        send(.workerFenced(fenced), to: session.peer)
        sessions[session.worker] = nil
        readers[session.worker] = nil
    }

    private func send(_ message: ClusterMessage, to peer: RoutingID) {
        do {
            // A peer that is gone or full will connect and ask again.
            _ = routerSocket.send(to: peer, head: try message.encode())
        } catch {
            logger.error("A fabric message could not be made", metadata: ["error": "\(error)"])
        }
    }

    /// What every worker has in a checkpoint need not be read again.
    private func trim() {
        let expected = maps.current.allWorkers
        let checkpoints = expected.map { sessions[$0]?.checkpointLSN }
        guard checkpoints.allSatisfy({ $0 != nil }) else { return }
        let below = checkpoints.compactMap { $0 }.min() ?? 0
        inbox.trimmableLSN = below
        maps.trim(below: below)
    }

    private func openGates() {
        for (worker, session) in sessions {
            gates.checkpointed(worker, through: session.checkpointLSN)
        }
        context.waiters.handedOver(window: window, isComplete: gates.isEmpty)
    }

    // MARK: The aggregator

    private func receiveFromAggregator() {
        while let message = aggregator.receive() {
            guard message.frameCount >= 1 else { continue }
            if case .windowMerged(let merged)? = try? ClusterMessage(decoding: message.frame(0)) {
                context.waiters.merged(merged)
            }
        }
    }

    private func report() {
        let now = WallClock.monotonic()
        let status = status()
        guard status != reported || now - lastReport >= Self.second else { return }
        guard now - lastReport >= Self.second / 5 else { return }
        let snapshot = MetricSnapshot(
            process: MetricSnapshot.router,
            incarnation: context.incarnation,
            pid: UInt32(getpid()),
            appliedLSN: routedLSN,
            checkpointLSN: inbox.trimmableLSN,
            headLSN: inbox.durableLSN,
            slots: [],
            own: context.ownSamples(),
            router: status
        )
        guard let bytes = try? ClusterMessage.metricSnapshot(snapshot).encode() else { return }
        if aggregator.send(head: bytes) == .sent {
            reported = status
            lastReport = now
        }
    }

    private func status() -> RouterStatus {
        RouterStatus(
            headLSN: inbox.durableLSN,
            receivedEvents: counts.acceptedTotal + counts.deduplicated + counts.rejected,
            deduplicatedEvents: counts.deduplicated,
            rejectedEvents: counts.rejected,
            deadLetteredEvents: counts.deadLettered,
            workers: maps.current.allWorkers.map { worker in
                let applied = sessions[worker]?.appliedLSN
                return WorkerLink(
                    worker: worker,
                    connected: applied != nil,
                    lagBytes: inbox.durableLSN - (applied ?? inbox.trimmableLSN)
                )
            },
            window: window,
            draining: context.isDraining,
            accepting: !context.isDraining
        )
    }
}
