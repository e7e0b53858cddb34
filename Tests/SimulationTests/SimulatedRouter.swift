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

/// A router without threads and sockets: admission, log and fabric as `IngestQueue`, `Committer`, and
/// `FabricLoop` put them together, a step at a time.
final class SimulatedRouter {
    struct Answer {
        let batch: Int
        let outcome: BatchAdmission.Outcome
    }

    /// A group that is not committed yet, and whoever waits for it.
    private struct Waiting {
        var group = CommitGroup()
        var answers: [Answer] = []
    }

    /// A batch as large is written ahead.
    static let largeBatchBytes = File.blockBytes

    let resource: Resource
    private let bugs: Set<PlantedBug>
    private let salt: UInt32
    private let damaged: [Range<LSN>]
    private var logBegin: LSN

    // Admission and commit.
    private var admission = BatchAdmission()
    private var dedup: DedupWindow
    private var open = Waiting()
    /// Closed groups before the open one, oldest first.
    private var closed: [Waiting] = []
    private var ahead: AheadFileWriter
    private var headBytes = 0
    /// Who was refused when the disk was full last.
    private(set) var refused: [Answer] = []
    private var writer: LogWriter
    private(set) var state: RouterState
    private(set) var totals: LogCounts
    private var rejected: UInt64 = 0
    private var deduplicated: UInt64 = 0

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
    /// The verdict on a letter that is written; goes into the next group.
    private(set) var pending: VerdictPayload?
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
        writer = try LogWriter(
            directory: LogDirectory(path: ClusterPaths.log), salt: data.salt, recovery: recovered.log,
            fileBytes: fileBytes)
        ahead = AheadFileWriter(directory: LogDirectory(path: ClusterPaths.log), tailBytes: fileBytes / 2)
        state = recovered.state
        if bugs.contains(.forgottenBatches) { state.dedup = DedupWindow() }
        dedup = state.dedup
        totals = writer.counts
        maps = recovered.maps
        verdicts = bugs.contains(.forgottenVerdicts) ? Verdicts() : recovered.state.verdicts
        durableLSN = writer.end
        routedLSN = writer.end
        try DeadLetterRecovery.run(state.verdicts, logBegin: logBegin, logger: logger)
    }

    // MARK: Admission and commit

    /// Whether other groups are committed before the open one.
    var hasClosedGroups: Bool { !closed.isEmpty }

    /// Those who wait for the group that is committed next.
    var answers: [Answer] { (closed.first ?? open).answers }

    /// Takes a batch into the open group, or a large one into a group of its own.
    func submit(_ bytes: [UInt8], batch: Int) throws {
        guard bytes.count >= Self.largeBatchBytes else { return admit(bytes, batch, into: &open) }
        var large = Waiting(group: CommitGroup(largeBatchBytes: bytes.count))
        admit(bytes, batch, into: &large)
        if !large.group.isEmpty {
            do throws(SystemError) {
                let file = try ahead.write(&large.group.log, headBytes: headBytes)
                large.group.isWritten(to: file)
            } catch { guard error.isOutOfSpace else { throw error } }
        }
        if !open.group.isEmpty || !open.answers.isEmpty { closed.append(open) }
        open = Waiting()
        closed.append(large)
    }

    private func admit(_ bytes: [UInt8], _ batch: Int, into waiting: inout Waiting) {
        let message = ReceivedMessage(bytes)
        let outcome = admission.admit(message, peerHost: [0x70], into: waiting.group) { key in dedup.admit(key) }
        switch outcome {
        case .accepted: break
        case .duplicate(let events, _): waiting.group.deduplicatedEvents += UInt64(events)
        case .refused(_, let events, _): waiting.group.rejectedEvents += UInt64(events)
        }
        waiting.answers.append(Answer(batch: batch, outcome: outcome))
    }

    /// Writes the oldest group, with a barrier where one is wanted, and says who is to be answered. Nil where
    /// the disk is full: all batches that wait are refused.
    func commit(barrier reason: BarrierPayload.Reason?, map: SlotMap?) throws -> [Answer]? {
        let next = closed.first ?? open
        if closed.isEmpty { open = Waiting() } else { closed.removeFirst() }
        let (group, answers) = (next.group, next.answers)
        count(next)
        if let reason { addBarrier(reason, map: map, to: group) }
        if let pending { add(pending, to: group) }
        if group.isEmpty || WallClock.now() % 3_000_000 == 0 { appendTick(to: group) }
        do throws(SystemError) { try write(group) } catch {
            guard error.isOutOfSpace else { throw error }
            for later in closed + [open] { count(later) }
            refuse([next] + closed + [open])
            (closed, open) = ([], Waiting())
            (held, pending) = (nil, nil)
            return nil
        }
        if let pending { try settle(pending) }
        pending = nil
        durableLSN = group.end
        deliveries.append(group)
        return answers
    }

    private func addBarrier(_ reason: BarrierPayload.Reason, map: SlotMap?, to group: CommitGroup) {
        let barrier = BarrierPayload(
            window: state.window, reason: reason, stem: state.stem(second: "20251123_010203"),
            slotMap: map ?? state.slotMap)
        var body = RawBuffer()
        barrier.encode(into: &body)
        let target = group.log.append(.barrier, arrival: WallClock.now(), bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        group.entries.append(CommitGroup.Entry())
        group.barriers.append((barrier, LSN(group.byteCount)))
    }

    private func add(_ verdict: VerdictPayload, to group: CommitGroup) {
        var body = RawBuffer()
        verdict.encode(into: &body)
        let target = group.log.append(.verdict, arrival: WallClock.now(), bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        var entry = CommitGroup.Entry()
        entry.deadLettered = verdict.events
        group.entries.append(entry)
        group.verdicts.append(verdict)
    }

    /// The verdict is durable: the letter counts.
    private func settle(_ verdict: VerdictPayload) throws(SystemError) {
        let name = DeadLetterName(verdict)
        try FileSystem.rename(name.pendingSidecar, to: name.sidecar)
        try FileSystem.syncDirectory(ClusterPaths.deadLetters)
    }

    private func appendTick(to group: CommitGroup) {
        _ = group.log.append(.tick, arrival: WallClock.now(), bodyBytes: 0)
        group.entries.append(CommitGroup.Entry())
    }

    private func write(_ group: CommitGroup) throws(SystemError) {
        var running = totals
        running.rejected += rejected
        running.deduplicated += deduplicated
        var steps: [LogCounts] = []
        for entry in group.entries {
            for index in entry.accepted.indices { running.accepted[index] += UInt64(entry.accepted[index]) }
            running.deadLettered += entry.deadLettered
            steps.append(running)
        }
        let begin = writer.end
        func encodeHead(into buffer: inout RawBuffer) {
            state.encodeHead(into: &buffer)
            headBytes = buffer.count
        }
        if !group.log.isEmpty, group.log.record(at: 0).type == .batch, let file = group.takeAhead() {
            try writer.commit(&group.log, ahead: file, countsAt: { steps[$0] }, head: encodeHead)
        } else {
            try writer.commit(&group.log, countsAt: { steps[$0] }, head: encodeHead)
        }
        totals = running
        rejected = 0
        deduplicated = 0
        group.totals = running
        group.begin = begin
        group.end = writer.end
        let first = writer.end - LSN(group.byteCount)
        for case let key? in group.entries.map(\.dedupKey) {
            state.dedup.insert(client: key.client, sequence: key.sequence, digest: key.digest)
        }
        for index in group.barriers.indices {
            group.barriers[index].end += first
            let (barrier, end) = group.barriers[index]
            state.passed(barrier, end: end)
        }
        for verdict in group.verdicts { state.verdicts.insert(verdict.range, of: verdict.worker) }
    }

    private func count(_ waiting: Waiting) {
        rejected += waiting.group.rejectedEvents
        deduplicated += waiting.group.deduplicatedEvents
    }

    private func refuse(_ waiting: [Waiting]) {
        for case let key? in waiting.flatMap(\.group.entries).map(\.dedupKey) {
            dedup.remove(client: key.client, sequence: key.sequence)
        }
        refused = waiting.flatMap(\.answers)
        for answer in refused {
            switch answer.outcome {
            case .accepted(let events, _): rejected += UInt64(events)
            case .duplicate(let events, _):
                deduplicated -= UInt64(events)
                rejected += UInt64(events)
            case .refused: break
            }
        }
    }

    /// Removes log files that nobody needs any more.
    func trim() throws {
        try writer.trim(below: trimmable)
        logBegin = writer.begin
        state.verdicts.trim(below: logBegin)
    }

    /// Trims as if all workers had come as far.
    func trim(below lsn: LSN) throws {
        try writer.trim(below: lsn)
        logBegin = writer.begin
    }

    func close() { writer.close() }

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
        pending = verdict
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
