import ClusterMessages
import GRPCTransport
import IngestLog
import Logging
import SystemIO
import TestSupport
import TraceModel
import TraceWire
import ZeroMQ

@testable import RouterRole
@testable import TraceTime

/// A router without threads and sockets: the real plan, log and routing, one step at a time.
final class SimulatedRouter: RoutingPort {
    struct Answer {
        let batch: Int
        let outcome: BatchAdmission.Outcome

        init(_ ticket: AckTicket) {
            guard case .simulated(let batch) = ticket.sender else {
                preconditionFailure("a simulated router has no other calls")
            }
            self.batch = batch
            outcome = ticket.outcome
        }
    }

    /// Events of a commit, in order.
    enum CommitEvent {
        /// A group is about to be written; the answers that wait for it, and the number of events it dead-letters.
        case writing([Answer], deadLettered: UInt64)
        case written
        /// There was no space for the group.
        case notWritten
        case refused([Answer])
        case answered([Answer])
        /// A group was completed without being logged; these answers were sent nevertheless.
        case unlogged([Answer])
    }

    /// Batches of this size are written ahead.
    static let largeBatchBytes = File.blockBytes

    private let context: RouterContext
    private let sendOut: (Message, Endpoint) -> Void

    // Admission and commit.
    private let queue: IngestQueue
    private let large: LargeBatches
    private var log: CommitLog
    private var plan: CommitPlan
    /// Whether the plan is processing a group.
    private(set) var isCommitting = false
    /// Answers that wait for that group.
    private var waiting: [Answer] = []

    // Routing.
    private let inbox: FabricInbox
    private var routing: RoutingState
    private var catchUp: CatchUp
    private var endpoints: [RoutingID: Endpoint] = [:]
    /// Whether sends fail because the connection is congested.
    var isCongested = false
    /// A forbidden report of `RoutingState`.
    private var broken: SimulationError?

    // Events set aside.
    private let coordinator: DeadLetterCoordinator
    /// Cases whose letters are to be written.
    private(set) var cases: [DeadLetterCase] = []
    /// Letters whose verdicts were requested, and whether the verdicts are durable.
    private let decided = Locked<[(letter: DeadLetterCoordinator.Letter, isDurable: Bool)]>([])
    private var closed: [WorkerName] = []

    /// Recovers like a router at its start. `send` receives the messages to workers.
    init(
        fileBytes: Int,
        inboxBytes: Int = Limits.fabricInboxBytesMax,
        bugs: Set<PlantedBug> = [],
        logger: Logger,
        send: @escaping (Message, Endpoint) -> Void = { _, _ in }
    ) throws {
        sendOut = send
        let data = try DataDirectory.open()
        let recovered = try RouterRecovery.run(
            salt: data.salt,
            fresh: RouterState(slotMap: SlotMap(workers: [:])),
            logger: logger
        )
        guard recovered.log.damaged.isEmpty, recovered.unreported.isEmpty else {
            throw SimulationError("the log is damaged: \(recovered.log.damaged)")
        }
        let directory = LogDirectory(path: ClusterPaths.log)
        let writer = try LogWriter(
            directory: directory,
            salt: data.salt,
            recovery: recovered.log,
            fileBytes: fileBytes
        )
        let counts = writer.counts
        context = RouterContext(
            incarnation: 1,
            logSalt: data.salt,
            damaged: recovered.log.damaged,
            accepted: counts.acceptedTotal
        )
        context.logBegin = writer.begin
        let faults = RouterFaults(bugs.compactMap(\.routerFault))
        plan = CommitPlan(
            state: recovered.state,
            totals: counts,
            window: recovered.openWindow,
            pending: recovered.pending,
            stems: StemClock(zone: TimeZoneRules(name: "UTC")),
            now: WallClock.monotonic(),
            faults: faults
        )
        queue = IngestQueue(dedup: plan.state.dedup)
        log = CommitLog(writer, state: plan.state, logger: logger)
        large = LargeBatches(
            queue: queue,
            context: context,
            log: directory,
            tailBytes: fileBytes / 2,
            headRoomBytes: 0,
            logger: logger
        )
        inbox = try FabricInbox(durable: log.range.upperBound, bytesMax: inboxBytes)
        routing = RoutingState(
            maps: recovered.maps,
            verdicts: recovered.state.verdicts,
            counts: counts,
            window: recovered.state.window,
            log: log.range,
            damaged: recovered.log.damaged,
            faults: faults
        )
        catchUp = CatchUp(salt: data.salt, damaged: recovered.log.damaged, pool: routing.pool)
        coordinator = DeadLetterCoordinator(
            queue: queue,
            context: context,
            wakeup: inbox.wakeup,
            logger: logger
        )
        try DeadLetterRecovery.run(
            recovered.state.verdicts,
            logBegin: context.logBegin,
            logger: logger
        )
    }

    // MARK: Admission and commit

    var state: RouterState { plan.state }
    var totals: LogCounts { plan.totals }
    /// LSN of the next group.
    var logEnd: LSN { log.range.upperBound }

    /// Submits a batch to the queue; a large one is added by `takeLarge`.
    func submit(_ bytes: [UInt8], batch: Int) {
        let message = ReceivedMessage(bytes)
        if bytes.count >= Self.largeBatchBytes {
            let isTaken = large.take(message, peerHost: [0x70], from: .simulated(batch))
            precondition(isTaken, "the queue is not closed")
        } else {
            queue.submit(message, peerHost: [0x70], from: .simulated(batch))
        }
    }

    /// Adds all waiting large batches.
    func takeLarge() throws { while large.waitingCount > 0 { _ = try large.takeNext() } }

    /// Requests a barrier, which follows all batches received so far.
    func request(_ reason: BarrierPayload.Reason, map: SlotMap? = nil) {
        queue.request(IngestQueue.BarrierRequest(reason: reason, slotMap: map) { _ in })
    }

    /// Continues the current group or takes the next one, until it is completed or has to wait for space. Returns
    /// false if there was nothing to commit.
    @discardableResult func commit(_ tell: (CommitEvent) throws -> Void) throws -> Bool {
        var isAny = true
        if !isCommitting {
            guard case .group(let group, let requests, let verdicts) = queue.take(deadline: 0)
            else { return false }
            isAny = !group.tickets.isEmpty || requests.count + verdicts.count > 0
            plan.take(group, requests: requests, verdicts: verdicts, now: WallClock.monotonic())
            waiting = group.tickets.map(Answer.init)
        }
        try carryOut(tell)
        return isAny
    }

    /// Commits everything, on a disk that has space; returns the answers.
    @discardableResult func commitAll() throws -> [Answer] {
        var answers: [Answer] = []
        try takeLarge()
        while try commit({ if case .answered(let more) = $0 { answers += more } }) {}
        return answers
    }

    /// Carries out the plan's actions like `Committer`, without its waits.
    private func carryOut(_ tell: (CommitEvent) throws -> Void) throws {
        isCommitting = true
        while true {
            let action = plan.next(surroundings)
            context.obstacle = plan.obstacle
            context.freeBytesMin = plan.freeBytesMin
            switch action {
            case .report(let notice): throw SimulationError("\(notice)")
            case .refuse(let refusal):
                _ = queue.forget(refusal.keys, refusal.error)
                try tell(.refused(refusal.tickets.map(Answer.init)))
                let left = Set(waiting.map(\.batch)).subtracting(
                    refusal.tickets.map { Answer($0).batch }
                )
                waiting = waiting.filter { left.contains($0.batch) }
            case .wait: return
            case .write(let group, let counts):
                if !group.tickets.isEmpty { waiting = group.tickets.map(Answer.init) }
                let events = group.verdicts.reduce(0) { $0 + $1.events }
                try tell(.writing(waiting, deadLettered: events))
                guard try write(group, counts) else { return try tell(.notWritten) }
                try tell(.written)
            case .replicate, .refuseQueued:
                preconditionFailure("the simulated log is not replicated")
            case .answer(let group):
                try tell(.answered(group.tickets.map(Answer.init)))
                group.tickets.removeAll(keepingCapacity: true)
            case .finish(let end):
                isCommitting = false
                return try conclude(end, tell)
            }
        }
    }

    private func surroundings() -> CommitPlan.Surroundings {
        CommitPlan.Surroundings(
            now: WallClock.monotonic(),
            arrival: WallClock.now(),
            log: log.range,
            volume: FreeSpace.measure(),
            outputs: context.outputs,
            slowest: nil
        )
    }

    private func write(_ group: CommitGroup, _ counts: [LogCounts]) throws -> Bool {
        do throws(SystemError) {
            plan.wrote(
                try log.write(group, counts: counts) { buffer in
                    plan.state.encodeHead(into: &buffer)
                    context.logHeadBytes = buffer.count
                }
            )
            log.noteEnd(plan.totals, group.barriers.isEmpty ? nil : plan.state)
            return true
        } catch {
            guard plan.failed(error) else { throw error }
            return false
        }
    }

    private func conclude(_ end: CommitPlan.Conclusion, _ tell: (CommitEvent) throws -> Void) throws
    {
        switch end.outcome {
        case .durable: inbox.publish(end.group, recycle: queue.recycle)
        case .empty, .givenUp:
            try tell(.unlogged(waiting))
            queue.recycle(end.group)
        }
        waiting = []
        if end.outcome == .givenUp { queue.askAgain(end.requests) }
        if let barrier = end.barrier { for request in end.requests { request.done(barrier) } }
        for request in end.verdicts { request.done(end.areVerdictsDurable) }
        for (letter, isDurable) in decided.current { try close(letter, isDurable: isDurable) }
        decided.update { $0 = [] }
    }

    /// Removes log files that are not needed any more.
    func trim() throws {
        hearIdleWorkers()
        try endTurn()
        try trim(below: inbox.trimmableLSN)
    }

    /// Trims as if all workers had applied everything below `lsn`.
    func trim(below lsn: LSN) throws {
        guard try log.trim(below: lsn) else { return }
        context.logBegin = log.range.lowerBound
        plan.trimmed(below: log.range.lowerBound)
    }

    /// Ends the router in order, so that no count is lost. To be called when nothing is left to commit.
    func close(_ tell: (CommitEvent) throws -> Void = { _ in }) throws {
        if !isCommitting, plan.takeUncounted(now: WallClock.monotonic(), arrival: WallClock.now()) {
            try carryOut(tell)
        }
        log.close()
    }

    // MARK: Routing

    var routedLSN: LSN { routing.routedLSN }
    var durableLSN: LSN { inbox.durableLSN }

    /// Routes durable groups like `FabricLoop`.
    func route() throws {
        look()
        let closed = closed
        self.closed = []
        for span in inbox.takeSpans() {
            routing.route(span.map(\.group), now: WallClock.monotonic(), self)
            for delivery in span { delivery.recycle(delivery.group) }
        }
        routing.closed(closed)
        try endTurn()
    }

    /// Reads the log for workers that are behind: one step each.
    func readForWorkersBehind() throws {
        look()
        for reading in routing.readings {
            let step = try catchUp.step(reading, maps: routing.maps, verdicts: routing.verdicts)
            _ = routing.read(step, for: reading, self)
        }
        catchUp.keepReaders { routing.isBehind($0) }
        try endTurn()
    }

    func receive(_ message: Message, from endpoint: Endpoint) throws {
        guard case .worker(let worker, let incarnation) = endpoint,
            let peer = RoutingID("\(worker).e\(incarnation)")
        else { return }
        endpoints[peer] = endpoint
        look()
        switch message {
        case .hello(let hello): routing.hello(hello, from: peer, self)
        case .progress(let progress): routing.progress(progress, from: peer, self)
        default: break
        }
        try endTurn()
    }

    private func look() {
        let durable = inbox.durableLSN
        routing.see(
            RoutingState.LogExtent(
                readable: min(context.logBegin, durable)..<durable,
                workLSN: inbox.workLSN
            )
        )
    }

    private func endTurn() throws {
        routing.openGates(now: WallClock.monotonic(), self)
        inbox.trimmableLSN = routing.trimmableLSN
        if let outputs = routing.takeOutputs() { context.outputs = outputs }
        if let broken { throw broken }
    }

    func send(_ message: RoutingState.Message, to peer: RoutingID) -> ZMQSendResult {
        guard let endpoint = endpoints[peer] else { return .noSuchPeer }
        switch message {
        case .share(let header, let payload):
            if isCongested { return .wouldBlock }
            sendOut(.share(header, Array(payload.buffer.bytes)), endpoint)
        case .welcome(let welcome): sendOut(.welcome(welcome), endpoint)
        case .fenced(let fenced): sendOut(.fenced(fenced), endpoint)
        case .whoAreYou: sendOut(.heartbeat, endpoint)
        }
        return .sent
    }

    func report(_ notice: RoutingState.Notice) {
        if case .lost(let worker, let resume, let log) = notice {
            broken = SimulationError("\(worker) stands at \(resume), the log holds \(log)")
        }
    }

    /// Plays the workers of the other resources, which do not run here. They report that they have applied
    /// everything, and disconnect again when something is sent to them.
    private func hearIdleWorkers() {
        look()
        for worker in routing.maps.current.allWorkers where worker.resource != .io {
            guard let peer = RoutingID("\(worker).e1") else { continue }
            let hello = WorkerHello(
                worker: worker,
                incarnation: 1,
                pid: 1,
                resumeLSN: routedLSN,
                checkpointLSN: routedLSN
            )
            let progress = WorkerProgress(
                worker: worker,
                incarnation: 1,
                appliedLSN: routedLSN,
                checkpointLSN: routedLSN,
                window: routing.window,
                windowBytes: 0,
                mergeBytes: 0
            )
            routing.hello(hello, from: peer, self)
            routing.progress(progress, from: peer, self)
        }
    }

    // MARK: Events set aside

    /// Requests a skip for a stuck worker, as an operator does.
    func skip(_ worker: WorkerName, to limit: LSN) throws {
        look()
        let checkpoint = ClusterPaths.checkpoint(of: worker)
        let request = DeadLetterCoordinator.Skip(worker: worker, to: limit, counted: nil) { _ in }
        routing.skip(request, hasCheckpoint: FileSystem.exists(checkpoint), self)
    }

    func setAside(_ events: DeadLetterCase) -> Bool {
        cases.append(events)
        return true
    }

    /// Writes the letters of workers whose processes have ended, and requests their verdicts.
    func writeLetters() throws {
        while !cases.isEmpty {
            let next = cases.removeFirst()
            do {
                let letter = try coordinator.write(next)
                guard let verdict = letter.verdict else {
                    closed.append(next.worker)
                    continue
                }
                let decided = decided
                queue.request(
                    IngestQueue.VerdictRequest(verdict: verdict) { isDurable in
                        decided.update { $0.append((letter, isDurable)) }
                    }
                )
            } catch let error as TraceError where error.code == .invalidArgument {
                // The worker is past that range already.
                closed.append(next.worker)
            } catch let error as SystemError where error.isOutOfSpace { closed.append(next.worker) }
        }
    }

    private func close(_ letter: DeadLetterCoordinator.Letter, isDurable: Bool) throws {
        guard let verdict = letter.verdict else { return }
        if isDurable { _ = try coordinator.count(letter, of: verdict.worker) }
        closed.append(verdict.worker)
    }
}
