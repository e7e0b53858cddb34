import ActivityMonitoring
import ClusterMessages
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Runs the fabric's thread: owns the sockets, passes input to `RoutingState`, and carries out its decisions.
final class FabricLoop: RoutingPort {
    private let inbox: FabricInbox
    private let context: RouterContext
    private let coordinator: DeadLetterCoordinator
    private let logger: Logger
    private let workers: ZMQSocket
    private let aggregator: AggregatorLink
    private let poller = ZMQPoller()
    private let sources: [ZMQPoller.Source]
    private var state: RoutingState
    private var catchUp: CatchUp
    private var refusedMessage = Recurrence()
    /// Time of the last wait for further groups; monotonic nanoseconds.
    private var lastGathered: Int64 = 0

    /// `maps`, `verdicts`, `counts` and `window` are the result of recovery.
    init(
        inbox: FabricInbox,
        context: RouterContext,
        maps: SlotMapHistory,
        verdicts: Verdicts,
        coordinator: DeadLetterCoordinator,
        counts: LogCounts,
        window: UInt64,
        logger: Logger
    ) throws {
        self.inbox = inbox
        self.context = context
        self.coordinator = coordinator
        self.logger = logger
        state = RoutingState(
            maps: maps,
            verdicts: verdicts,
            counts: counts,
            window: window,
            log: context.logBegin..<inbox.durableLSN,
            damaged: context.damaged
        )
        catchUp = CatchUp(salt: context.logSalt, damaged: context.damaged, pool: state.pool)
        let zmq = try ZMQContext()
        workers = try ZMQSocket(zmq, .router)
        try workers.bind(ClusterPaths.routerFabric)
        aggregator = try AggregatorLink(zmq, context: context, logger: logger)
        sources = [
            poller.add(workers), aggregator.add(to: poller),
            poller.add(descriptor: inbox.wakeup.descriptor),
        ]
        publish()
    }

    /// Runs until the context requests a stop.
    func run() {
        var isBusy = false
        while !context.isStopping {
            poller.wait(milliseconds: isBusy ? 0 : 200)
            if !isBusy { gather() }
            inbox.wakeup.clear()
            look()
            receiveFromWorkers()
            receiveFromAggregator()
            // Taken before the inbox is read, which therefore contains the verdicts of these cases.
            let closed = coordinator.takeSettled()
            for span in inbox.takeSpans() {
                state.route(span.map(\.group), now: WallClock.monotonic(), self)
                for delivery in span { delivery.recycle(delivery.group) }
            }
            state.closed(closed)
            look()
            for request in coordinator.takeRequests() {
                let checkpoint = ClusterPaths.checkpoint(of: request.worker)
                state.skip(request, hasCheckpoint: FileSystem.exists(checkpoint), self)
            }
            isBusy = readForWorkersBehind()
            let now = WallClock.monotonic()
            state.openGates(now: now, self)
            publish()
            aggregator.report(state, now: now)
        }
    }

    /// Waits for more groups under load, so that a worker that is woken has input for many events. Blocks for at most
    /// `Limits.fabricSpacingNanoseconds`, and not at all if groups are further apart or many bytes are waiting.
    private func gather() {
        let end = lastGathered + Limits.fabricSpacingNanoseconds
        var now = WallClock.monotonic()
        while now < end, inbox.byteCount < Limits.shareMessageBytes {
            usleep(UInt32(min(end - now, Limits.fabricCheckNanoseconds) / 1_000))
            now = WallClock.monotonic()
        }
        lastGathered = now
    }

    /// Passes the log's current extent to the state.
    private func look() {
        let durable = inbox.durableLSN
        state.see(
            RoutingState.LogExtent(
                readable: min(context.logBegin, durable)..<durable,
                workLSN: inbox.workLSN
            )
        )
    }

    /// Publishes results for the other threads.
    private func publish() {
        inbox.trimmableLSN = state.trimmableLSN
        if let holdings = state.takeHoldings() { context.slotHoldings = holdings }
        if let outputs = state.takeOutputs() { context.outputs = outputs }
        context.waiters.handedOver(window: state.window, isComplete: state.isHandedOver)
    }

    /// Reads one step for each worker that is behind; returns whether more can be read at once.
    private func readForWorkersBehind() -> Bool {
        var isBusy = false
        for reading in state.readings {
            do {
                let step = try catchUp.step(reading, maps: state.maps, verdicts: state.verdicts)
                isBusy = state.read(step, for: reading, self) || isBusy
            } catch {
                logger.error(
                    "The log cannot be read for a worker",
                    metadata: ["worker": "\(reading.worker)", "error": "\(error)"]
                )
                state.readFailed(error, for: reading, self)
            }
        }
        catchUp.keepReaders { state.isBehind($0) }
        return isBusy
    }

    // MARK: Incoming messages

    private func receiveFromWorkers() {
        while let message = workers.receive() {
            guard let peer = message.sender, message.frameCount >= 1 else { continue }
            do {
                switch try unsafe ClusterMessage(decoding: message.frame(0)) {
                case .workerHello(let hello): state.hello(hello, from: peer, self)
                case .workerProgress(let progress): state.progress(progress, from: peer, self)
                default: break
                }
            } catch {
                guard refusedMessage.isNew("\(peer): \(error)") else { continue }
                logger.warning(
                    "A fabric message was refused",
                    metadata: ["peer": "\(peer)", "error": "\(error)"]
                )
            }
        }
    }

    private func receiveFromAggregator() {
        while let message = aggregator.receive() {
            state.aggregatorHeard()
            switch message {
            case .heartbeat(let beat):
                if let events = beat.unaccountedEvents { context.settle(events) }
            case .windowMerged(let merged):
                context.waiters.merged(merged)
                if merged.failure == nil { state.published(merged.window, of: merged.resource) }
            default: break
            }
        }
    }

    // MARK: Routing port

    func send(_ message: RoutingState.Message, to peer: RoutingID) -> ZMQSendResult {
        var rest: [ZMQFrame] = []
        let head: ClusterMessage
        switch message {
        case .share(let header, let payload):
            head = .shareHeader(header)
            rest = unsafe [.retained(payload.buffer.bytes, owner: payload)]
        case .welcome(let welcome): head = .workerWelcome(welcome)
        case .fenced(let fenced): head = .workerFenced(fenced)
        case .whoAreYou: head = .heartbeat(question)
        }
        do { return workers.send(to: peer, head: try head.encode(), rest) } catch {
            logger.error("A fabric message could not be made", metadata: ["error": "\(error)"])
            return .wouldBlock
        }
    }

    /// The message that asks its receiver to send a hello.
    private var question: Heartbeat {
        Heartbeat(
            process: MetricSnapshot.router,
            incarnation: context.incarnation,
            pid: UInt32(getpid())
        )
    }

    func setAside(_ events: DeadLetterCase) -> Bool { coordinator.submit(events) }

    func report(_ notice: RoutingState.Notice) {
        switch notice {
        case .connected(let hello, let resume):
            logger.info(
                "Worker connected",
                metadata: ["worker": "\(hello.worker)", "pid": "\(hello.pid)", "lsn": "\(resume)"]
            )
        case .lost(let worker, let resume, let log):
            logger.error(
                "A worker cannot go on from where its checkpoint stands",
                metadata: ["worker": "\(worker)", "lsn": "\(resume)", "log": "\(log)"]
            )
        case .paused(let slots): context.slotMoves.record(nanoseconds: slots)
        case .slotsMoved(let report):
            logger.info(
                "Slots moved",
                metadata: [
                    "slots": "\(report.slots)", "median_ms": "\(report.median / 1_000_000)",
                    "worst_ms": "\(report.worst / 1_000_000)",
                ]
            )
        }
    }
}
