import IngestLog
import SystemIO
import TraceModel
import TraceTime

/// Decides what the commit thread does with each group: whether its batches are taken, which calls are refused and why, what
/// stands behind the batches (barrier, verdicts, tick), and what follows from a write that failed. A value without files,
/// clocks and threads: `Committer` carries out what it says, and so does the simulator.
///
/// One group at a time is in hand:
///
///     idle ──take──▶ admitting ─────▶ writing ──wrote──▶ answering ──▶ finishing ──▶ idle
///                        │             │   ▲                 ▲
///                        │       failed│   │                 │
///                        │             ▼   │                 │
///                        │           retrying ──given up─────┤
///                        └──────nothing to write─────────────┘
///
/// Where batches cannot be taken or not be written, the group in hand waits here and later calls wait in the queue. Each call
/// waits for as long as `CallHold` says and is then refused alone, whichever group it is in: nothing here lasts longer than that
/// of the youngest call in the group, and those in the queue are younger.
///
/// All times are monotonic nanoseconds, but for `Surroundings.arrival`.
struct CommitPlan {
    /// What is to be done next.
    enum Action {
        /// Log this for the operator.
        case report(Notice)
        /// Refuse these calls.
        case refuse(Refusal)
        /// Nothing can be done now: ask again in a moment.
        case wait
        /// Write and sync the group, then call `wrote` or `failed`. `counts`: the totals once each of its records is in the log.
        case write(CommitGroup, counts: [LogCounts])
        /// Answer the calls that wait for the group, and take them out of it.
        case answer(CommitGroup)
        /// The group is no longer in hand.
        case finish(Conclusion)
    }

    /// What an operator should know.
    enum Notice: Equatable {
        /// The log has grown past half of its budget. The window ends, so that workers write checkpoints: that may be all that
        /// is missing.
        case logAtHalf
        /// The aggregator misses more events than the log's damage can have taken.
        case unexplained(events: UInt64, uncertain: UInt64)
        /// Of the events of damaged ranges so many had not been applied; they count as dead-lettered now.
        case settled(events: UInt64)
    }

    /// Calls that have been held for too long.
    struct Refusal {
        /// What they are counted as: a label of `trace_batches_refused_total`.
        let reason: String
        let error: TraceError
        let tickets: [AckTicket]
        /// Of their batches, which are new where they come again.
        let keys: [CommitGroup.DedupKey]
        /// How many batches are refused, but for those in the queue that repeat one of them.
        let batches: Int
    }

    enum Outcome: Equatable {
        /// The group is in the log, and is to be routed.
        case durable
        /// There was nothing to write.
        case empty
        /// It could not be written, and none of its calls waits any more.
        case givenUp
    }

    /// What became of a group.
    struct Conclusion {
        let group: CommitGroup
        let outcome: Outcome
        let requests: [IngestQueue.BarrierRequest]
        /// The barrier in the log that meets the requests.
        let barrier: BarrierPayload?
        let verdicts: [IngestQueue.VerdictRequest]
        /// Whether the verdicts are in the log.
        let areVerdictsDurable: Bool
    }

    /// What the commit thread finds around it.
    struct Surroundings {
        /// Monotonic.
        var now: Int64
        /// What records get that are written now.
        var arrival: EpochNanoseconds
        /// What the log holds.
        var log: Range<LSN>
        /// The volume of the data directory with the least room.
        var volume: FreeSpace.Volume
        var outputs: OutputReports
        /// Whose checkpoint keeps the log from being trimmed.
        var slowest: (worker: WorkerName, lsn: LSN)?
    }

    private enum Phase {
        case idle
        case admitting
        case writing
        /// The disk was full.
        case retrying(SystemError)
        case answering(Outcome)
        case finishing(Outcome)
    }

    /// What is in hand.
    private struct Hand {
        let group: CommitGroup
        var requests: [IngestQueue.BarrierRequest] = []
        var verdicts: [IngestQueue.VerdictRequest] = []
        /// So many of the uncertain events have not been applied, as the aggregator says.
        var unaccounted: UInt64?
        /// How long a group without calls is tried.
        let hold: CallHold
        /// Calls wait for it.
        var hadBatches = false
        /// When it was completed.
        var completed: Int64 = 0
        var barrier: BarrierPayload?
        var settlement: DamagePayload?
        /// The totals with it.
        var totals = LogCounts()
    }

    /// How long the thread waits at most before it takes a group, so that ticks come in time.
    var deadline: Int64 { lastTick + Self.second }
    /// What the log's records say so far.
    private(set) var state: RouterState
    private(set) var totals: LogCounts
    /// Why no batch is taken now.
    private(set) var obstacle: AdmissionGate.Obstacle?
    /// Free bytes of the disk without which the last group would not have been taken; nothing is known at first.
    private(set) var freeBytesMin = Int.max

    private let faults: RouterFaults
    private let stems: StemClock
    private var planner: WindowPlanner
    private var gate: AdmissionGate
    private var phase = Phase.idle
    private var hand: Hand?
    private var notices: [Notice] = []
    /// Events refused and found to be duplicates that no record carries yet.
    private var rejected: UInt64 = 0
    private var deduplicated: UInt64 = 0
    private var lastTick: Int64 = 0
    private var lastEvents: Int64

    private static let second: Int64 = 1_000_000_000
    /// Ticks go on for this long after the last batch, so that what waits for time to pass sees it.
    private static let quietNanoseconds: Int64 = 60 * second

    /// `state`, `totals`, `window`, `pending`: what recovery found. `windowAge`: nanoseconds since the open window's first batch.
    init(
        state: RouterState,
        totals: LogCounts,
        window: OpenWindow = OpenWindow(),
        windowAge: Int64 = 0,
        pending: PendingOutput = PendingOutput(),
        logBudgetBytes: Int = .max,
        stems: StemClock,
        now: Int64,
        faults: RouterFaults = []
    ) {
        self.state = state
        self.totals = totals
        self.stems = stems
        self.faults = faults
        planner = WindowPlanner(state.slotMap, continuing: window, age: windowAge, now: now)
        gate = AdmissionGate(logBudgetBytes: logBudgetBytes, window: window, pending: pending)
        lastEvents = now
        if faults.contains(.forgottenBatches) { self.state.dedup = DedupWindow() }
    }

    // MARK: One group

    /// Takes a group in hand, with the barriers and verdicts asked for. `unaccounted`: what the aggregator said of uncertain events
    /// since the last group.
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

    /// Takes a last group in hand with what was counted since the last record, which would be forgotten with the process. False
    /// where there is nothing to tell.
    mutating func takeUncounted(now: Int64, arrival: EpochNanoseconds) -> Bool {
        precondition(hand == nil, "a group is in hand")
        guard rejected + deduplicated > 0 else { return false }
        let group = CommitGroup()
        Self.appendTick(to: group, arrival)
        hand = Hand(group: group, hold: CallHold(arrival: now), completed: now)
        phase = .writing
        return true
    }

    /// What to do next with the group in hand. `look` is called where the answer depends on what it finds.
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

    /// Whether a group that the disk has no room for is given up: none of its batches is left, as all have been held for too
    /// long, or, where it held none, it was tried for as long.
    private func isOver(_ group: CommitGroup, at now: Int64) -> Bool {
        guard let hand else { return true }
        return hand.hadBatches ? !group.holdsBatches : hand.hold.isOver(at: now)
    }

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

    // MARK: What stands in the way

    /// What has to be done before the group's batches are taken; nil: nothing, or none is left.
    private mutating func admit(_ group: CommitGroup, _ seen: Surroundings) -> Action? {
        let logBytes = Int(seen.log.upperBound - seen.log.lowerBound)
        if gate.passesHalf(logBytes: logBytes) {
            planner.request(.size)
            notices.append(.logAtHalf)
        }
        gate.reported(seen.outputs)
        // Of another window the fabric has not heard yet.
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

    /// Takes the calls out of the group that have been held for too long, and counts them; nil where there are none.
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

    // MARK: What goes into a group

    /// Puts behind the group's batches what is due.
    private mutating func complete(_ group: CommitGroup, _ seen: Surroundings) {
        hand?.hadBatches = group.holdsBatches
        hand?.completed = seen.now
        addBarrier(to: group, seen)
        for request in hand?.verdicts ?? [] { add(request.verdict, to: group, seen.arrival) }
        addSettlement(to: group, seen)
        addTick(to: group, seen)
    }

    /// Puts a barrier behind the group's batches where one is due or asked for.
    private mutating func addBarrier(to group: CommitGroup, _ seen: Surroundings) {
        let requests = hand?.requests ?? []
        // What the group adds counts once it is durable.
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
        // The offset behind the barrier is its end once the group's begin is known.
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

    /// Puts a verdict behind the group's batches, unless it is in force already.
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

    /// Says how many of the uncertain events were not applied, where that is known now.
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
        // So that nobody lags behind with it.
        Self.appendTick(to: group, seen.arrival)
        hand?.settlement = damage
    }

    /// Records the clock once a second while anything may wait for it, and counts that no batch carried.
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
        let target = group.log.append(type, arrival: arrival, bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        var entry = CommitGroup.Entry()
        entry.deadLettered = deadLettered
        group.entries.append(entry)
    }

    // MARK: What became of a write

    /// The totals once each of the group's records is in the log: the first one carries what none did before.
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

    /// The group is durable. `log`: where it ended before, and where it does now.
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
        phase = .answering(.durable)
    }

    /// The group was not written: it is tried again after a wait where the disk was full. False after any other error: what the
    /// disk holds is unknown then, so nothing may be answered any more, and the process has to end.
    mutating func failed(_ error: SystemError) -> Bool {
        guard case .writing = phase else { preconditionFailure("nothing was to write") }
        guard error.isOutOfSpace || faults.contains(.retriedSync) else { return false }
        obstacle = .diskSpace
        phase = .retrying(error)
        return true
    }

    /// The log begins at `lsn` now.
    mutating func trimmed(below lsn: LSN) {
        state.verdicts.trim(below: lsn)
        gate.trim(below: lsn)
    }
}
