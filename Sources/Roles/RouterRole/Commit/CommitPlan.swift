import IngestLog
import SystemIO
import TraceModel
import TraceTime

/// Decides what the commit thread does with each group: whether its batches are taken, which calls are refused and why,
/// which records follow the batches (barrier, verdicts, tick), and how a failed write is handled. A value without
/// files, clocks or threads: `Committer` carries out its actions, and so does the simulator.
///
/// One group at a time is processed:
///
///      idle ──take──▶ admitting ─────▶ writing ──wrote──▶ answering ──▶ finishing ──▶ idle
///                         │             │   ▲                 ▲
///                         │       failed│   │                 │
///                         │             ▼   │                 │
///                         │           retrying ──given up─────┤
///                         └──────nothing to write─────────────┘
///
/// Where the log is replicated, a group that was written waits in `replicating` until a quorum has it too. Its calls are
/// refused one by one meanwhile, and so are those in the queue, but the group stays: it is in the log.
///
/// While batches cannot be taken or written, the current group waits here and later calls wait in the queue. Each call
/// waits for the time of its `CallHold` and is then refused on its own, whichever group it is in. So a wait here ends
/// at the latest with the hold of the group's youngest call, and the calls in the queue are younger.
///
/// All times are monotonic nanoseconds, except `Surroundings.arrival`.
struct CommitPlan {
    /// The next action of the commit thread.
    enum Action {
        /// Log this for the operator.
        case report(Notice)
        /// Refuse these calls.
        case refuse(Refusal)
        /// Nothing can be done now: call `next` again after a short wait.
        case wait
        /// Write and sync the group, then call `wrote` or `failed`. `counts` contains the totals as of each of its
        /// records.
        case write(CommitGroup, counts: [LogCounts])
        /// Let the replica go on for a short time, then call `replicated`.
        case replicate
        /// Refuse the calls in the queue that have been held for the maximum time as of `time`.
        case refuseQueued(reason: String, error: TraceError, time: Int64)
        /// Answer the calls that wait for the group, and remove them from it.
        case answer(CommitGroup)
        /// The group is done.
        case finish(Conclusion)
    }

    /// An event to log for the operator.
    enum Notice: Equatable {
        /// The log has grown past half of its budget. The window ends, so that workers write checkpoints: the log may
        /// not have been trimmed only for lack of them.
        case logAtHalf
        /// The aggregator reports more missing events than the log's damage can account for.
        case unexplained(events: UInt64, uncertain: UInt64)
        /// This many events of damaged ranges had not been applied; they now count as dead-lettered.
        case settled(events: UInt64)
    }

    /// Calls that have been held for the maximum time.
    struct Refusal {
        /// Label under which they are counted in `trace_batches_refused_total`.
        let reason: String
        let error: TraceError
        let tickets: [AckTicket]
        /// Keys of their batches, which count as new if they are sent again.
        let keys: [CommitGroup.DedupKey]
        /// The number of refused batches, not including duplicates of them that are still in the queue.
        let batches: Int
    }

    /// The outcome of a group.
    enum Outcome: Equatable {
        /// The group is in the log and has to be routed.
        case durable
        /// There was nothing to write.
        case empty
        /// The group could not be written, and none of its calls is waiting any more.
        case givenUp
    }

    /// The end of a group's processing.
    struct Conclusion {
        let group: CommitGroup
        let outcome: Outcome
        let requests: [IngestQueue.BarrierRequest]
        /// The barrier in the log that fulfils the requests; nil if there is none.
        let barrier: BarrierPayload?
        let verdicts: [IngestQueue.VerdictRequest]
        /// Whether the verdicts are in the log.
        let areVerdictsDurable: Bool
    }

    /// Input that the commit thread gathers for a decision.
    struct Surroundings {
        /// The monotonic clock.
        var now: Int64
        /// Arrival time of records that are written now.
        var arrival: EpochNanoseconds
        /// The range of the log.
        var log: Range<LSN>
        /// The volume of the data directory with the least free space.
        var volume: FreeSpace.Volume
        var outputs: OutputReports
        /// The worker whose checkpoint keeps the log from being trimmed, and its LSN.
        var slowest: (worker: WorkerName, lsn: LSN)?
    }

    /// The states of the diagram above.
    private enum Phase {
        case idle
        case admitting
        case writing
        /// It is on this disk, and perhaps not on a quorum's.
        case replicating
        /// The disk was full.
        case retrying(SystemError)
        case answering(Outcome)
        case finishing(Outcome)
    }

    /// The group being processed.
    private struct Hand {
        let group: CommitGroup
        var requests: [IngestQueue.BarrierRequest] = []
        var verdicts: [IngestQueue.VerdictRequest] = []
        /// The number of uncertain events that were not applied, as reported by the aggregator; nil if it did not
        /// report.
        var unaccounted: UInt64?
        /// How long a group without calls is retried.
        let hold: CallHold
        /// Whether calls wait for the group.
        var hadBatches = false
        /// Time when its last record was added.
        var completed: Int64 = 0
        var barrier: BarrierPayload?
        var settlement: DamagePayload?
        /// The totals including this group.
        var totals = LogCounts()
    }

    /// The latest time at which the thread has to take a group, so that ticks are on time.
    var deadline: Int64 { lastTick + Self.second }
    /// The state as of the log's last record.
    private(set) var state: RouterState
    private(set) var totals: LogCounts
    /// The reason why no batch is taken now; nil if batches are taken.
    private(set) var obstacle: AdmissionGate.Obstacle?
    /// Free bytes that the disk needed for the last group to be taken; `Int.max` before the first one.
    private(set) var freeBytesMin = Int.max

    /// Whether groups count only once a quorum has them too. Below this LSN a quorum has everything.
    private let isReplicated: Bool
    private var replicatedEnd: LSN = 0
    /// Why the replica stores nothing, and when the queue's calls were refused last.
    private var replicaProblem: String?
    private var lastQueueCheck: Int64 = 0
    private let faults: RouterFaults
    private let stems: StemClock
    private var planner: WindowPlanner
    private var gate: AdmissionGate
    private var phase = Phase.idle
    private var hand: Hand?
    private var notices: [Notice] = []
    /// Events that were refused, or were found to be duplicates, and that no record contains yet.
    private var rejected: UInt64 = 0
    private var deduplicated: UInt64 = 0
    private var lastTick: Int64 = 0
    private var lastEvents: Int64

    private static let second: Int64 = 1_000_000_000
    /// How much longer than others a call is held that waits for the replica.
    private static let replicaHold =
        Int64(Limits.replicaHoldSeconds - Limits.callHoldSeconds) * second
    private static let queueCheckInterval = second / 10
    /// Time after the last batch during which ticks continue, so that state that waits for time to pass is updated.
    private static let quietNanoseconds: Int64 = 60 * second

    /// `state`, `totals`, `window` and `pending` are the result of recovery. `windowAge` is the time since the open
    /// window's first batch, in nanoseconds.
    init(
        state: RouterState,
        totals: LogCounts,
        window: OpenWindow = OpenWindow(),
        windowAge: Int64 = 0,
        pending: PendingOutput = PendingOutput(),
        logBudgetBytes: Int = .max,
        stems: StemClock,
        now: Int64,
        isReplicated: Bool = false,
        faults: RouterFaults = []
    ) {
        self.isReplicated = isReplicated
        self.state = state
        self.totals = totals
        self.stems = stems
        self.faults = faults
        planner = WindowPlanner(state.slotMap, continuing: window, age: windowAge, now: now)
        gate = AdmissionGate(logBudgetBytes: logBudgetBytes, window: window, pending: pending)
        lastEvents = now
        if faults.contains(.forgottenBatches) { self.state.dedup = DedupWindow() }
    }

    // MARK: Processing a group

    /// Takes a group with the barriers and verdicts requested for it. `unaccounted` is what the aggregator has reported
    /// of uncertain events since the last group.
    mutating func take(
        _ group: CommitGroup,
        requests: [IngestQueue.BarrierRequest] = [],
        verdicts: [IngestQueue.VerdictRequest] = [],
        unaccounted: UInt64? = nil,
        now: Int64
    ) {
        precondition(hand == nil, "a group is in hand already")
        rejected += group.rejectedEvents
        deduplicated += group.deduplicatedEvents
        hand = Hand(
            group: group,
            requests: requests,
            verdicts: verdicts,
            unaccounted: unaccounted,
            hold: CallHold(arrival: now)
        )
        phase = .admitting
    }

    /// Takes a final group with counts that no record contains, which would be lost with the process. Returns false if
    /// there are none.
    mutating func takeUncounted(now: Int64, arrival: EpochNanoseconds) -> Bool {
        precondition(hand == nil, "a group is in hand")
        guard rejected + deduplicated > 0 else { return false }
        let group = CommitGroup()
        Self.appendTick(to: group, arrival)
        hand = Hand(group: group, hold: CallHold(arrival: now), completed: now)
        phase = .writing
        return true
    }

    /// Returns the next action for the current group. `look` is called if the decision depends on its result.
    mutating func next(_ look: () -> Surroundings) -> Action {
        while true {
            if !notices.isEmpty { return .report(notices.removeFirst()) }
            guard let group = hand?.group else { preconditionFailure("no group is in hand") }
            switch phase {
            case .idle: preconditionFailure("no group is in hand")
            case .admitting:
                let seen = look()
                if let action = admit(group, seen) { return action }
                complete(group, seen)
                phase = group.isEmpty ? .answering(.empty) : .writing
            case .writing:
                if faults.contains(.ackBeforeCommit), !group.tickets.isEmpty {
                    return .answer(group)
                }
                let counts = counts(of: group)
                hand?.totals = counts[counts.count - 1]
                return .write(group, counts: counts)
            case .replicating:
                guard replicatedEnd >= group.end else { return replicate(group, now: look().now) }
                obstacle = nil
                phase = .answering(.durable)
            case .retrying(let error):
                let now = look().now
                let refusal = refuseOverdue(in: group, as: "disk_full", at: now) { _ in
                    Self.refusal(for: error)
                }
                if let refusal { return .refuse(refusal) }
                phase = isOver(group, at: now) ? .answering(.givenUp) : .writing
            case .answering(let outcome):
                phase = .finishing(outcome)
                if !group.tickets.isEmpty { return .answer(group) }
            case .finishing(let outcome): return .finish(conclude(outcome))
            }
        }
    }

    /// Returns whether a group that does not fit the disk is given up: all its batches have been held for the maximum
    /// time and were removed, or it had none and was retried for that time.
    private func isOver(_ group: CommitGroup, at now: Int64) -> Bool {
        guard let hand else { return true }
        return hand.hadBatches ? !group.holdsBatches : hand.hold.isOver(at: now)
    }

    /// Ends the work on the current group.
    private mutating func conclude(_ outcome: Outcome) -> Conclusion {
        guard let hand else { preconditionFailure("no group is in hand") }
        self.hand = nil
        phase = .idle
        return Conclusion(
            group: hand.group,
            outcome: outcome,
            requests: hand.requests,
            barrier: outcome == .durable ? hand.barrier : nil,
            verdicts: hand.verdicts,
            areVerdictsDurable: outcome != .givenUp || faults.contains(.verdictBeforeCommit)
        )
    }

    // MARK: Replication

    /// Returns the action while a quorum may not have the group. Calls are held for longer than usual, as electing a leader
    /// takes seconds.
    private mutating func replicate(_ group: CommitGroup, now: Int64) -> Action {
        let time = now - Self.replicaHold
        let error = AdmissionGate.withoutQuorum(replicaProblem)
        let reason = AdmissionGate.Obstacle.noQuorum.rawValue
        let overdue = group.takeOverdueTickets(at: time)
        if !overdue.isEmpty {
            obstacle = .noQuorum
            // Their events are in the log, so they count as accepted.
            return .refuse(
                Refusal(
                    reason: reason,
                    error: error,
                    tickets: overdue,
                    keys: [],
                    batches: overdue.count { ticket in
                        if case .refused = ticket.outcome { false } else { true }
                    }
                )
            )
        }
        if now - lastQueueCheck >= Self.queueCheckInterval {
            lastQueueCheck = now
            return .refuseQueued(reason: reason, error: error, time: time)
        }
        return .replicate
    }

    /// Notes that a quorum has everything below `lsn`, and why it does not get more.
    mutating func replicated(to lsn: LSN, problem: String?) {
        replicatedEnd = lsn
        replicaProblem = problem
    }

    // MARK: Admission

    /// Returns the action required before the group's batches are taken; nil if there is none, or no batch is left.
    private mutating func admit(_ group: CommitGroup, _ seen: Surroundings) -> Action? {
        let logBytes = Int(seen.log.upperBound - seen.log.lowerBound)
        if gate.passesHalf(logBytes: logBytes) {
            planner.request(.size)
            notices.append(.logAtHalf)
        }
        gate.reported(seen.outputs)
        gate.rebuilds(seen.volume.rebuildBytes)
        // While the numbers differ, the fabric has not processed the last barrier, and reports sizes of another window.
        if seen.outputs.window == state.window { planner.reported(seen.outputs.windowBytes) }
        let sizes = BatchSizes(group)
        freeBytesMin = gate.freeBytesMin(adding: sizes)
        obstacle = gate.obstacle(logBytes: logBytes, freeBytes: seen.volume.bytes, adding: sizes)
        guard let obstacle, group.holdsBatches else { return nil }
        let refusal = refuseOverdue(in: group, as: obstacle.rawValue, at: seen.now) { gate in
            gate.refusal(
                for: obstacle,
                slowest: seen.slowest,
                end: seen.log.upperBound,
                volume: seen.volume
            )
        }
        return refusal.map { .refuse($0) } ?? .wait
    }

    /// Removes the group's calls that have been held for the maximum time, and counts them; returns nil if there are
    /// none.
    private mutating func refuseOverdue(
        in group: CommitGroup,
        as reason: String,
        at now: Int64,
        _ error: (AdmissionGate) -> TraceError
    ) -> Refusal? {
        let removed = group.takeOverdue(at: now)
        guard !removed.tickets.isEmpty else { return nil }
        let error = error(gate)
        let doubles = group.refuseDuplicates(of: Set(removed.keys.map(\.sequence)), error)
        deduplicated -= doubles.events
        rejected += doubles.events
        var batches = doubles.batches
        for ticket in removed.tickets {
            switch ticket.outcome {
            case .accepted(let events, _): rejected += UInt64(events)
            case .duplicate(let events, _):
                deduplicated -= UInt64(events)
                rejected += UInt64(events)
            case .refused: continue
            }
            batches += 1
        }
        return Refusal(
            reason: reason,
            error: error,
            tickets: removed.tickets,
            keys: faults.contains(.refusedBatchesStayKnown) ? [] : removed.keys,
            batches: batches
        )
    }

    private static func refusal(for error: SystemError) -> TraceError {
        TraceError(
            .exhausted,
            "The server's disk is full",
            remedy: "The batch was not stored; send it again later",
            cause: error
        )
    }

    // MARK: Records of a group

    /// Appends the records that are due after the group's batches.
    private mutating func complete(_ group: CommitGroup, _ seen: Surroundings) {
        hand?.hadBatches = group.holdsBatches
        hand?.completed = seen.now
        addBarrier(to: group, seen)
        for request in hand?.verdicts ?? [] { add(request.verdict, to: group, seen.arrival) }
        addSettlement(to: group, seen)
        addTick(to: group, seen)
    }

    /// Appends a barrier if one is due or requested.
    private mutating func addBarrier(to group: CommitGroup, _ seen: Surroundings) {
        let requests = hand?.requests ?? []
        // A copy, because the group counts only once it is durable.
        var ahead = planner
        Self.count(group, in: &ahead, now: seen.now)
        for request in requests { ahead.request(request.reason) }
        guard let reason = ahead.due(now: seen.now) else { return }
        let barrier = BarrierPayload(
            window: state.window,
            reason: reason,
            stem: state.stem(second: stems.text(seen.arrival)),
            slotMap: requests.compactMap(\.slotMap).last ?? state.slotMap
        )
        Self.append(.barrier, to: group, seen.arrival) { barrier.encode(into: &$0) }
        // For now an offset in the group; `wrote` makes it an LSN.
        group.barriers.append((barrier, LSN(group.byteCount)))
        hand?.barrier = barrier
        lastTick = seen.now
    }

    /// Counts what the group adds to the open window.
    private static func count(_ group: CommitGroup, in planner: inout WindowPlanner, now: Int64) {
        for entry in group.entries {
            for resource in Resource.allCases where entry.accepted[Int(resource.rawValue)] > 0 {
                let index = Int(resource.rawValue)
                planner.logged(
                    resource,
                    events: Int(entry.accepted[index]),
                    bytes: entry.wireBytes[index],
                    now: now
                )
            }
        }
        if group.entries.contains(where: \.isLastBatch) { planner.lastBatch(now: now) }
    }

    /// Appends a verdict, unless it is already in force.
    private func add(_ verdict: VerdictPayload, to group: CommitGroup, _ arrival: EpochNanoseconds)
    {
        guard !state.verdicts.contains(verdict.worker, from: verdict.range.lowerBound) else {
            return
        }
        Self.append(.verdict, to: group, arrival, deadLettered: verdict.events) {
            verdict.encode(into: &$0)
        }
        group.verdicts.append(verdict)
    }

    /// Appends a record with the number of uncertain events that were not applied, if that is known now.
    private mutating func addSettlement(to group: CommitGroup, _ seen: Surroundings) {
        let uncertain = state.uncertainEvents
        guard let events = hand?.unaccounted, uncertain > 0 else { return }
        guard events <= uncertain else {
            notices.append(.unexplained(events: events, uncertain: uncertain))
            return
        }
        let damage = DamagePayload(range: seen.log, events: events, settles: true)
        Self.append(.damage, to: group, seen.arrival, deadLettered: events) {
            damage.encode(into: &$0)
        }
        // Workers do not receive damage records: with a tick behind it none of them lags because of it.
        Self.appendTick(to: group, seen.arrival)
        hand?.settlement = damage
    }

    /// Appends a tick once a second while state may depend on the time, or for counts that no record contains yet.
    private mutating func addTick(to group: CommitGroup, _ seen: Surroundings) {
        guard seen.now - lastTick >= Self.second else { return }
        lastTick = seen.now
        let counted = rejected + deduplicated > 0
        let isQuiet = seen.now - lastEvents >= Self.quietNanoseconds
        guard counted || !group.isEmpty || !isQuiet else { return }
        Self.appendTick(to: group, seen.arrival)
    }

    private static func appendTick(to group: CommitGroup, _ arrival: EpochNanoseconds) {
        append(.tick, to: group, arrival) { _ in }
    }

    private static func append(
        _ type: LogRecordType,
        to group: CommitGroup,
        _ arrival: EpochNanoseconds,
        deadLettered: UInt64 = 0,
        _ encode: (inout RawBuffer) -> Void
    ) {
        var body = RawBuffer()
        encode(&body)
        let target = unsafe group.log.append(type, arrival: arrival, bodyBytes: body.count)
        unsafe UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(
            from: body.bytes
        )
        var entry = CommitGroup.Entry()
        entry.deadLettered = deadLettered
        group.entries.append(entry)
    }

    // MARK: Result of a write

    /// Returns the totals as of each of the group's records. The first one includes counts that no record contains yet.
    private func counts(of group: CommitGroup) -> [LogCounts] {
        var running = totals
        running.rejected += rejected
        running.deduplicated += deduplicated
        return group.entries.map { entry in
            for index in entry.accepted.indices {
                running.accepted[index] += UInt64(entry.accepted[index])
            }
            running.deadLettered += entry.deadLettered
            return running
        }
    }

    /// Notes that the group is durable. `log` is the log's end before and after it.
    mutating func wrote(_ log: Range<LSN>) {
        guard case .writing = phase, let hand else { preconditionFailure("nothing was to write") }
        let group = hand.group
        totals = hand.totals
        rejected = 0
        deduplicated = 0
        group.totals = totals
        group.begin = log.lowerBound
        group.end = log.upperBound
        let first = log.upperBound - LSN(group.byteCount)
        for case let key? in group.entries.map(\.dedupKey) {
            state.dedup.insert(client: key.client, sequence: key.sequence, digest: key.digest)
        }
        for index in group.barriers.indices {
            group.barriers[index].end += first
            let (barrier, end) = group.barriers[index]
            state.passed(barrier, end: end)
        }
        for verdict in group.verdicts { state.verdicts.insert(verdict.range, of: verdict.worker) }
        gate.logged(BatchSizes(group), end: group.end)
        if !group.barriers.isEmpty { gate.windowClosed() }
        if let settlement = hand.settlement {
            state.note(settlement)
            notices.append(.settled(events: settlement.events))
        }
        if group.holdsBatches { lastEvents = hand.completed }
        Self.count(group, in: &planner, now: hand.completed)
        if let barrier = hand.barrier { planner.closed(next: barrier.slotMap, now: hand.completed) }
        phase = isReplicated ? .replicating : .answering(.durable)
    }

    /// Notes that the group was not written. If the disk was full, it is retried after a wait. Returns false after any
    /// other error: the disk's state is unknown then, so nothing may be acknowledged any more, and the process has to
    /// end.
    mutating func failed(_ error: SystemError) -> Bool {
        guard case .writing = phase else { preconditionFailure("nothing was to write") }
        guard error.isOutOfSpace || faults.contains(.retriedSync) else { return false }
        obstacle = .diskSpace
        phase = .retrying(error)
        return true
    }

    /// Notes that the log now begins at `lsn`.
    mutating func trimmed(below lsn: LSN) {
        state.verdicts.trim(below: lsn)
        gate.trim(below: lsn)
    }
}
