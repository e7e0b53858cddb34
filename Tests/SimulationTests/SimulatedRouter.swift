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

/// A router without threads and sockets: its queue, plan, and log as the real one's commit thread has them, and routing as
/// `FabricLoop` puts it together, a step at a time.
final class SimulatedRouter {
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

    /// What a commit does, as it does it.
    enum CommitEvent {
        /// A group is about to be written: who waits for it, and how many events it sets aside.
        case writing([Answer], deadLettered: UInt64)
        case written
        /// The disk had no room for it.
        case notWritten
        case refused([Answer])
        case answered([Answer])
        /// A group is done with and not in the log; these were answered nevertheless.
        case unlogged([Answer])
    }

    /// A batch as large is written ahead.
    static let largeBatchBytes = File.blockBytes

    let resource: Resource
    private let bugs: Set<PlantedBug>
    private let salt: UInt32
    private let damaged: [Range<LSN>]
    private var logBegin: LSN

    // Admission and commit.
    private let context: RouterContext
    private let queue: IngestQueue
    private let large: LargeBatches
    private var log: CommitLog
    private var plan: CommitPlan
    /// A group is in the plan's hand.
    private(set) var isCommitting = false
    /// Who waits for that group.
    private var waiting: [Answer] = []
    /// Whether verdicts that were asked for are durable.
    private let decided = Locked<[(verdict: VerdictPayload, isDurable: Bool)]>([])

    // Fabric.
    private var deliveries: [CommitGroup] = []
    private var sessions: [WorkerName: (session: WorkerSession, endpoint: Endpoint)] = [:]
    private var readers: [WorkerName: CatchUpReader] = [:]
    private let pool = SharePool()
    private var maps: SlotMapHistory
    private var gates = HandoverGates()
    private var verdicts: Verdicts
    /// Whose events are being set aside: it is sent nothing before the verdict holds.
    private(set) var held: WorkerName?
    private(set) var routedLSN: LSN
    private(set) var durableLSN: LSN
    private var trimmable: LSN = 0

    /// Recovers as a router does at its start.
    init(resource: Resource, fileBytes: Int, bugs: Set<PlantedBug>, logger: Logger) throws {
        self.resource = resource
        self.bugs = bugs
        let data = try DataDirectory.open()
        salt = data.salt
        let recovered = try RouterRecovery.run(
            salt: data.salt, fresh: RouterState(slotMap: SlotMap(workers: [:])), logger: logger)
        guard recovered.log.damaged.isEmpty, recovered.unreported.isEmpty else {
            throw SimulationError("the log is damaged: \(recovered.log.damaged)")
        }
        damaged = recovered.log.damaged
        logBegin = recovered.log.begin
        let directory = LogDirectory(path: ClusterPaths.log)
        let writer = try LogWriter(directory: directory, salt: data.salt, recovery: recovered.log, fileBytes: fileBytes)
        maps = recovered.maps
        verdicts = bugs.contains(.forgottenVerdicts) ? Verdicts() : recovered.state.verdicts
        durableLSN = writer.end
        routedLSN = writer.end
        context = RouterContext(
            incarnation: 1, logSalt: data.salt, damaged: recovered.log.damaged, accepted: writer.counts.acceptedTotal)
        plan = CommitPlan(
            state: recovered.state, totals: writer.counts, window: recovered.openWindow, windowAge: 0,
            pending: recovered.pending, stems: StemClock(zone: TimeZoneRules(name: "UTC")), now: WallClock.monotonic(),
            faults: RouterFaults(bugs.compactMap(\.fault)))
        queue = IngestQueue(dedup: plan.state.dedup)
        log = CommitLog(writer, state: plan.state, logger: logger)
        large = LargeBatches(
            queue: queue, context: context, log: directory, tailBytes: fileBytes / 2, headRoomBytes: 0, logger: logger)
        try DeadLetterRecovery.run(recovered.state.verdicts, logBegin: logBegin, logger: logger)
    }

    // MARK: Admission and commit

    var state: RouterState { plan.state }
    var totals: LogCounts { plan.totals }
    /// Where the next group goes.
    var logEnd: LSN { log.range.upperBound }

    /// Takes a batch into the queue; a large one goes there with `takeLarge`.
    func submit(_ bytes: [UInt8], batch: Int) {
        let message = ReceivedMessage(bytes)
        if bytes.count >= Self.largeBatchBytes {
            let isTaken = large.take(message, peerHost: [0x70], from: .simulated(batch))
            precondition(isTaken, "the queue is not closed")
        } else {
            queue.submit(message, peerHost: [0x70], from: .simulated(batch))
        }
    }

    /// Takes all large batches that wait.
    func takeLarge() throws { while large.waitingCount > 0 { _ = try large.takeNext() } }

    /// Asks for a barrier, which stands behind all batches that have come.
    func request(_ reason: BarrierPayload.Reason, map: SlotMap? = nil) {
        queue.request(IngestQueue.BarrierRequest(reason: reason, slotMap: map) { _ in })
    }

    /// Goes on with the group in hand, or takes the next one, until it is done with or has to wait for room. False where there was
    /// nothing to commit.
    @discardableResult func commit(_ tell: (CommitEvent) throws -> Void) throws -> Bool {
        var isAny = true
        if !isCommitting {
            guard case .group(let group, let requests, let verdicts) = queue.take(deadline: 0) else { return false }
            isAny = !group.tickets.isEmpty || requests.count + verdicts.count > 0
            plan.take(group, requests: requests, verdicts: verdicts, now: WallClock.monotonic())
            waiting = group.tickets.map(Answer.init)
        }
        try carryOut(tell)
        return isAny
    }

    /// Commits all there is, on a disk that has room; returns the answers.
    @discardableResult func commitAll() throws -> [Answer] {
        var answers: [Answer] = []
        try takeLarge()
        while try commit({ if case .answered(let more) = $0 { answers += more } }) {}
        return answers
    }

    /// Does what `Committer` does for the plan, but for the waits.
    private func carryOut(_ tell: (CommitEvent) throws -> Void) throws {
        isCommitting = true
        while true {
            let action = plan.next(look)
            context.obstacle = plan.obstacle
            context.freeBytesMin = plan.freeBytesMin
            switch action {
            case .report(let notice): throw SimulationError("\(notice)")
            case .refuse(let refusal):
                _ = queue.forget(refusal.keys, refusal.error)
                try tell(.refused(refusal.tickets.map(Answer.init)))
                let left = Set(waiting.map(\.batch)).subtracting(refusal.tickets.map { Answer($0).batch })
                waiting = waiting.filter { left.contains($0.batch) }
            case .wait: return
            case .write(let group, let counts):
                if !group.tickets.isEmpty { waiting = group.tickets.map(Answer.init) }
                let events = group.verdicts.reduce(0) { $0 + $1.events }
                try tell(.writing(waiting, deadLettered: events))
                guard try write(group, counts) else { return try tell(.notWritten) }
                try tell(.written)
            case .answer(let group):
                try tell(.answered(group.tickets.map(Answer.init)))
                group.tickets.removeAll(keepingCapacity: true)
            case .finish(let end):
                isCommitting = false
                return try conclude(end, tell)
            }
        }
    }

    private func look() -> CommitPlan.Surroundings {
        CommitPlan.Surroundings(
            now: WallClock.monotonic(), arrival: WallClock.now(), log: log.range,
            freeBytes: (try? FileSystem.freeBytes(at: ClusterPaths.log)) ?? .max, outputs: context.outputs, slowest: nil
        )
    }

    private func write(_ group: CommitGroup, _ counts: [LogCounts]) throws -> Bool {
        do throws(SystemError) {
            plan.wrote(
                try log.write(group, counts: counts) { buffer in
                    plan.state.encodeHead(into: &buffer)
                    context.logHeadBytes = buffer.count
                })
            log.noteEnd(plan.totals, group.barriers.isEmpty ? nil : plan.state)
            return true
        } catch {
            guard plan.failed(error) else { throw error }
            return false
        }
    }

    private func conclude(_ end: CommitPlan.Conclusion, _ tell: (CommitEvent) throws -> Void) throws {
        switch end.outcome {
        case .durable:
            durableLSN = end.group.end
            deliveries.append(end.group)
        case .empty, .givenUp: try tell(.unlogged(waiting))
        }
        waiting = []
        if end.outcome == .givenUp { queue.askAgain(end.requests) }
        if let barrier = end.barrier { for request in end.requests { request.done(barrier) } }
        for request in end.verdicts { request.done(end.areVerdictsDurable) }
        for (verdict, isDurable) in decided.current {
            // The letter counts, or is given up.
            if isDurable { try settle(verdict) } else { held = nil }
        }
        decided.update { $0 = [] }
    }

    private func settle(_ verdict: VerdictPayload) throws(SystemError) {
        let name = DeadLetterName(verdict)
        try FileSystem.rename(name.pendingSidecar, to: name.sidecar)
        try FileSystem.syncDirectory(ClusterPaths.deadLetters)
    }

    /// Removes log files that nobody needs any more.
    func trim() throws { try trim(below: trimmable) }

    /// Trims as if all workers had come as far.
    func trim(below lsn: LSN) throws {
        guard try log.trim(below: lsn) else { return }
        logBegin = log.range.lowerBound
        context.logBegin = logBegin
        plan.trimmed(below: logBegin)
    }

    /// Ends in order: nothing that was counted is forgotten. To be called where nothing is to be committed.
    func close(_ tell: (CommitEvent) throws -> Void = { _ in }) throws {
        if !isCommitting, plan.takeUncounted(now: WallClock.monotonic(), arrival: WallClock.now()) {
            try carryOut(tell)
        }
        log.close()
    }

    // MARK: Fabric

    /// Routes what is durable; `drops` loses groups that change nothing for workers, as a full inbox does.
    func route(dropping drops: Bool, _ send: (Message, Endpoint) -> Void) {
        for group in deliveries where !drops || group.concernsRouting { route(group, send) }
        deliveries = []
    }

    private func route(_ group: CommitGroup, _ send: (Message, Endpoint) -> Void) {
        let live = Set(
            sessions.values.map(\.session).filter {
                $0.position == group.begin && $0.maySend(bytes: group.byteCount) && !blocks($0.worker, at: group.begin)
            }.map(\.worker))
        var builder = ShareBuilder(for: live, map: maps.current, pool: pool)
        var partBegin = group.begin
        for (index, offset) in group.log.offsets.enumerated() {
            let record = group.log.record(at: offset)
            let entry = group.entries[index]
            let end = record.lsn + LSN(record.stride)
            switch record.type {
            case .batch: builder.add(record, events: group.events, first: entry.firstEvent, count: entry.eventCount)
            case .barrier, .tick: builder.addForAll(record)
            case .fileHead, .damage, .verdict, nil: break
            }
            guard let barrier = group.barriers.first(where: { $0.end == end })?.barrier else { continue }
            let before = maps.current
            maps.append(barrier, end: end)
            gates.add(from: before, to: barrier.slotMap, at: end)
            deliver(&builder, to: live, from: partBegin, upTo: end, send)
            partBegin = end
            builder.use(maps.current)
        }
        deliver(&builder, to: live, from: partBegin, upTo: group.end, send)
        for verdict in group.verdicts {
            verdicts.insert(verdict.range, of: verdict.worker)
            held = nil
        }
        routedLSN = group.end
    }

    private func blocks(_ worker: WorkerName, at lsn: LSN) -> Bool {
        !bugs.contains(.openGates) && gates.blocks(worker, at: lsn)
    }

    private func deliver(
        _ builder: inout ShareBuilder, to live: Set<WorkerName>, from begin: LSN, upTo end: LSN,
        _ send: (Message, Endpoint) -> Void
    ) {
        var silent = live
        for (worker, payload) in builder.finish() {
            silent.remove(worker)
            if isReady(worker, at: begin) { deliver(payload, to: worker, upTo: end, send) }
        }
        for worker in silent where isReady(worker, at: begin) { sessions[worker]?.session.skip(to: end) }
    }

    private func isReady(_ worker: WorkerName, at lsn: LSN) -> Bool {
        sessions[worker]?.session.position == lsn && !blocks(worker, at: lsn)
    }

    private func deliver(
        _ payload: SharePayload, to worker: WorkerName, upTo end: LSN, _ send: (Message, Endpoint) -> Void
    ) {
        guard let (session, endpoint) = sessions[worker] else { return }
        let header = ShareHeader(fromLSN: session.toldLSN, toLSN: end, headLSN: durableLSN)
        send(.share(header, Array(payload.buffer.bytes)), endpoint)
        sessions[worker]?.session.sent(upTo: end, bytes: payload.buffer.count)
    }

    /// Reads the log for workers that are behind: one step each.
    func catchUp(_ send: (Message, Endpoint) -> Void) throws {
        for worker in sessions.keys.sorted(by: { $0.index < $1.index }) {
            guard let session = sessions[worker]?.session, session.position < routedLSN,
                session.maySend(bytes: CatchUpReader.chunkBytes), !blocks(worker, at: session.position)
            else { continue }
            let reader = reader(for: session)
            let limit =
                bugs.contains(.openGates) ? routedLSN : gates.limit(for: worker, at: session.position, head: routedLSN)
            let step = try reader.step(from: session.position, limit: limit, maps: maps, verdicts: verdicts)
            if step.payload.buffer.count > 0 {
                deliver(step.payload, to: worker, upTo: step.end, send)
            } else {
                sessions[worker]?.session.skip(to: step.end)
            }
            if step.end >= routedLSN { readers[worker] = nil }
        }
    }

    private func reader(for session: WorkerSession) -> CatchUpReader {
        if let known = readers[session.worker], known.position == session.position { return known }
        let fresh = CatchUpReader(
            worker: session.worker, salt: salt, from: session.position, damaged: damaged, pool: pool)
        readers[session.worker] = fresh
        return fresh
    }

    func receive(_ message: Message, from endpoint: Endpoint, _ send: (Message, Endpoint) -> Void) throws {
        switch message {
        case .hello(let hello): try greet(hello, endpoint, send)
        case .progress(let progress): try note(progress, endpoint, send)
        default: break
        }
    }

    private func greet(_ hello: WorkerHello, _ endpoint: Endpoint, _ send: (Message, Endpoint) -> Void) throws {
        if let old = sessions[hello.worker], old.endpoint != endpoint {
            fence(hello.worker, "a newer process of this name has connected", send)
        }
        sessions[hello.worker] = nil
        readers[hello.worker] = nil
        guard held != hello.worker else { return }
        let resume =
            hello.resumeLSN >= max(logBegin, 1) ? hello.resumeLSN : maps.firstOwned(by: hello.worker) ?? routedLSN
        guard resume >= logBegin, resume <= durableLSN else {
            throw SimulationError("\(hello.worker) stands at \(resume), the log holds \(logBegin)..<\(durableLSN)")
        }
        sessions[hello.worker] = (
            WorkerSession(
                worker: hello.worker, peer: Self.anybody, incarnation: hello.incarnation, pid: hello.pid,
                resume: resume, checkpoint: min(hello.checkpointLSN, resume)), endpoint
        )
        let place = maps.place(at: resume)
        let welcome = WorkerWelcome(
            lsn: resume, window: place.window, windowBeginLSN: place.windowBegin, owners: place.map.owners(of: resource)
        )
        send(.welcome(welcome), endpoint)
    }

    private func note(_ progress: WorkerProgress, _ endpoint: Endpoint, _ send: (Message, Endpoint) -> Void) throws {
        guard sessions[progress.worker]?.endpoint == endpoint else { return send(.heartbeat, endpoint) }
        let isPlausible =
            sessions[progress.worker]?.session.progressed(
                applied: progress.appliedLSN, checkpoint: progress.checkpointLSN, head: durableLSN) ?? false
        if !isPlausible { fence(progress.worker, "its progress makes no sense", send) }
        // Workers of other resources do not run here.
        let below = maps.trimmable { $0.resource == resource ? sessions[$0]?.session.checkpointLSN : .max }
        if let below {
            trimmable = below
            maps.trim(below: below)
            verdicts.trim(below: logBegin)
        }
        for (worker, known) in sessions { gates.checkpointed(worker, through: known.session.checkpointLSN) }
    }

    private func fence(_ worker: WorkerName, _ reason: String, _ send: (Message, Endpoint) -> Void) {
        guard let (session, endpoint) = sessions.removeValue(forKey: worker) else { return }
        readers[worker] = nil
        let fenced = WorkerFenced(worker: worker, incarnation: session.incarnation, reason: reason)
        send(.fenced(fenced), endpoint)
    }

    private static let anybody: RoutingID = {
        guard let name = RoutingID("worker.e1") else { preconditionFailure("no such name") }
        return name
    }()

    // MARK: Events set aside

    /// Writes the letter of a worker, whose process is gone, as the dead-letter desk does for a skip.
    func setAside(_ worker: WorkerName, to limit: LSN) throws {
        let checkpoint = try CheckpointPosition.read(of: worker)
        let begin = checkpoint ?? maps.firstOwned(by: worker) ?? logBegin
        let from = verdicts.firstOpen(for: worker, from: max(begin, logBegin))
        guard from < limit else { return }
        held = worker
        sessions[worker] = nil
        readers[worker] = nil
        var letter = try DeadLetterWriter(DeadLetterName(worker: worker, from: from, cause: .skip))
        let end = try copy(worker, from..<limit, to: &letter)
        let verdict = VerdictPayload(
            worker: worker, cause: .skip, range: from..<end, events: letter.events, reason: "simulated")
        try letter.finish(as: verdict)
        let decided = decided
        queue.request(
            IngestQueue.VerdictRequest(verdict: verdict) { isDurable in
                decided.update { $0.append((verdict, isDurable)) }
            })
    }

    private func copy(_ worker: WorkerName, _ range: Range<LSN>, to letter: inout DeadLetterWriter) throws -> LSN {
        var index = EventIndex()
        var reader = LogReader(
            directory: LogDirectory(path: ClusterPaths.log), salt: salt, from: range.lowerBound, damaged: damaged)
        while reader.position < range.upperBound {
            let bytes = try reader.next(budget: 4 << 10, limit: range.upperBound)
            for record in LogRecords(bytes) where record.type == .batch && !verdicts.covers(worker, record.lsn) {
                _ = try BatchScanner.scan(record.body, into: &index)
                let owners = maps.place(at: record.lsn).map.owners(of: resource)
                let hash = Slot.hash(host: record.host)
                try letter.begin(host: record.host, semantics: record.semantics, arrival: record.arrival)
                for position in 0..<index.count {
                    let event = index[position]
                    let slot = Slot.of(hostHash: hash, processID: event.processID)
                    guard Int(owners[Int(slot)]) == worker.index else { continue }
                    let start = Int(event.offset)
                    let bytes = record.body[start..<start + Int(event.length)]
                    try letter.add(.init(rebasing: bytes), counts: true)
                }
            }
        }
        return reader.position
    }

    // MARK: What the simulation asks

    var isHandedOver: Bool { gates.isEmpty }

    func applied(_ worker: WorkerName) -> LSN? { sessions[worker]?.session.appliedLSN }
}
