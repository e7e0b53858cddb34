import Glibc
import IngestLog
import Logging
import SystemIO
import TraceModel
import TraceTime

/// The thread that makes batches durable: takes the open commit group, adds barriers and ticks that are
/// due, writes and syncs it, pays the tickets, and hands the group on to be routed. After `init` only
/// that thread touches it.
final class Committer: @unchecked Sendable {
    private let queue: IngestQueue
    private let fabric: FabricInbox
    private let logger: Logger
    private let context: RouterContext
    private var writer: LogWriter
    private var state: RouterState
    private var planner: WindowPlanner
    private var gate: AdmissionGate
    private var freeSpace = FreeSpace(ClusterPaths.log)
    private var stems: StemClock
    private var totals: LogCounts
    /// Events refused and found to be duplicates that no record carries yet.
    private var rejected: UInt64 = 0
    private var deduplicated: UInt64 = 0
    private var lastTick: Int64 = 0
    private var lastEvents: Int64 = 0
    private var trimmed: LSN = 0

    private static let second: Int64 = 1_000_000_000
    /// Ticks go on for this long after the last batch, so that what waits for time to pass sees it.
    private static let quietNanoseconds: Int64 = 60 * second

    init(
        queue: IngestQueue,
        fabric: FabricInbox,
        writer: consuming LogWriter,
        state: RouterState,
        stems: StemClock,
        context: RouterContext,
        logger: Logger
    ) {
        self.queue = queue
        self.fabric = fabric
        self.logger = logger
        self.context = context
        planner = WindowPlanner(state.slotMap)
        gate = AdmissionGate(logBudgetBytes: context.logBudgetBytes)
        self.stems = stems
        totals = writer.counts
        self.writer = writer
        self.state = state
    }

    /// Runs until the queue has ended; everything taken is then durable.
    func run() {
        lastEvents = WallClock.monotonic()
        while case .group(let taken, let requests, let verdicts) = queue.take(
            deadline: lastTick + Self.second
        ) {
            rejected += taken.rejectedEvents
            deduplicated += taken.deduplicatedEvents
            let group = admitted(taken)
            let now = WallClock.monotonic()
            plan(group, now: now)
            let barrier = addBarrier(to: group, requests: requests, now: now)
            for request in verdicts { add(request.verdict, to: group) }
            addTick(to: group, now: now)
            if group.isEmpty {
                pay(group)
                for request in verdicts { request.done(true) }
                queue.recycle(group)
                continue
            }
            if let failure = commit(group) {
                refuse(group, requests: requests, Self.refusal(for: failure), as: "disk_full")
                if let barrier { planner.request(barrier.reason) }
                for request in verdicts { request.done(false) }
                continue
            }
            pay(group)
            if let barrier { for request in requests { request.done(barrier) } }
            fabric.publish(group, recycle: queue.recycle)
            for request in verdicts { request.done(true) }
            trim()
        }
        keepCounts()
        writer.close()
    }

    /// What was counted since the last record would be forgotten with the process.
    private func keepCounts() {
        guard rejected + deduplicated > 0 else { return }
        let group = CommitGroup()
        appendTick(to: group)
        if commit(group) == nil { fabric.publish(group, recycle: queue.recycle) }
    }

    // MARK: What stands in the way

    /// The group itself where its batches may be taken; else they are refused, once their calls have been held,
    /// and what else is to be logged goes into an empty one.
    private func admitted(_ group: CommitGroup) -> CommitGroup {
        trim()
        warnAtHalf()
        guard !group.isEmpty else {
            context.obstacle = obstacle()
            return group
        }
        guard let obstacle = waitForRoom() else { return group }
        let refusal = gate.refusal(
            for: obstacle,
            slowest: context.slowest,
            end: writer.end,
            freeBytes: freeSpace.bytes()
        )
        refuse(group, requests: [], refusal, as: obstacle.rawValue)
        return CommitGroup()
    }

    /// Waits until batches may be taken; what stood in the way where that takes too long.
    private func waitForRoom() -> AdmissionGate.Obstacle? {
        let deadline = WallClock.monotonic() + Int64(Limits.callHoldSeconds) * Self.second
        while true {
            context.obstacle = obstacle()
            guard context.obstacle != nil, WallClock.monotonic() < deadline else {
                return context.obstacle
            }
            usleep(100_000)
            trim()
        }
    }

    private func obstacle() -> AdmissionGate.Obstacle? {
        gate.obstacle(logBytes: logBytes, freeBytes: freeSpace.bytes())
    }

    private var logBytes: Int { Int(writer.end - writer.begin) }

    /// Also ends the window, so that workers checkpoint: that may be all that is missing.
    private func warnAtHalf() {
        guard gate.passesHalf(logBytes: logBytes) else { return }
        let slowest = context.slowest
        logger.warning(
            "The ingest log has reached half of its budget",
            metadata: [
                "bytes": "\(logBytes)", "budget": "\(gate.logBudgetBytes)",
                "worker": "\(slowest.map { "\($0.worker)" } ?? "")",
                "at_lsn": "\(slowest?.lsn ?? writer.begin)",
            ]
        )
        planner.request(.size)
    }

    // MARK: What goes into a group

    private func plan(_ group: CommitGroup, now: Int64) {
        for entry in group.entries {
            lastEvents = now
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
        if group.lastBatchSeen { planner.lastBatch(now: now) }
    }

    /// Puts a barrier behind the group's batches where one is due or asked for.
    private func addBarrier(
        to group: CommitGroup,
        requests: [IngestQueue.BarrierRequest],
        now: Int64
    ) -> BarrierPayload? {
        for request in requests { planner.request(request.reason) }
        guard let reason = planner.due(now: now) else { return nil }
        let arrival = WallClock.now()
        let second = stems.text(arrival)
        let slotMap = requests.compactMap(\.slotMap).last
        let barrier = BarrierPayload(
            window: state.window,
            reason: reason,
            stem: state.stem(second: second),
            slotMap: slotMap ?? state.slotMap
        )
        var body = RawBuffer()
        barrier.encode(into: &body)
        let target = group.log.append(.barrier, arrival: arrival, bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        group.entries.append(CommitGroup.Entry())
        // The offset behind the barrier is its end once the group's begin is known.
        group.barriers.append((barrier, LSN(group.byteCount)))
        planner.closed(next: barrier.slotMap)
        lastTick = now
        return barrier
    }

    /// Puts a verdict behind the group's batches, unless it is in force already.
    private func add(_ verdict: VerdictPayload, to group: CommitGroup) {
        guard !state.verdicts.contains(verdict.worker, from: verdict.range.lowerBound) else {
            return
        }
        var body = RawBuffer()
        verdict.encode(into: &body)
        let target = group.log.append(.verdict, arrival: WallClock.now(), bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        var entry = CommitGroup.Entry()
        entry.deadLettered = verdict.events
        group.entries.append(entry)
        group.verdicts.append(verdict)
    }

    /// Records the clock once a second while anything may wait for it, and counts that no batch carried.
    private func addTick(to group: CommitGroup, now: Int64) {
        guard now - lastTick >= Self.second else { return }
        lastTick = now
        let counted = rejected + deduplicated > 0
        guard counted || !group.isEmpty || now - lastEvents < Self.quietNanoseconds else { return }
        appendTick(to: group)
    }

    private func appendTick(to group: CommitGroup) {
        _ = group.log.append(.tick, arrival: WallClock.now(), bodyBytes: 0)
        group.entries.append(CommitGroup.Entry())
    }

    // MARK: Durability

    /// Nil once the group is durable; the error where the disk stayed full.
    private func commit(_ group: CommitGroup) -> SystemError? {
        let deadline = WallClock.monotonic() + Int64(Limits.callHoldSeconds) * Self.second
        while true {
            do throws(SystemError) {
                try write(group)
                return nil
            } catch {
                guard error.isOutOfSpace else { dieOf(error) }
                guard WallClock.monotonic() < deadline else { return error }
                logger.warning(
                    "The ingest log waits for disk space",
                    metadata: ["error": "\(error)"]
                )
                // The calls of this group are being held; the disk is asked again shortly.
                usleep(100_000)
            }
        }
    }

    private func write(_ group: CommitGroup) throws(SystemError) {
        let started = WallClock.monotonic()
        var running = totals
        running.rejected += rejected
        running.deduplicated += deduplicated
        var wireBytes = 0
        var steps: [LogCounts] = []
        steps.reserveCapacity(group.entries.count)
        for entry in group.entries {
            for index in entry.accepted.indices {
                running.accepted[index] += UInt64(entry.accepted[index])
            }
            running.deadLettered += entry.deadLettered
            wireBytes += entry.wireBytes.indices.reduce(0) { $0 + entry.wireBytes[$1] }
            steps.append(running)
        }
        let begin = writer.end
        try writer.commit(
            &group.log,
            countsAt: { steps[$0] },
            head: { state.encodeHead(into: &$0) }
        )
        totals = running
        rejected = 0
        deduplicated = 0
        context.acceptedEvents = running.acceptedTotal
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
        gate.logged(bytes: wireBytes)
        if !group.barriers.isEmpty { gate.windowClosed() }
        for verdict in group.verdicts {
            state.verdicts.insert(verdict.range, of: verdict.worker)
        }
        context.commitLatency.record(
            nanoseconds: CollectionOfOne(WallClock.monotonic() - started)
        )
    }

    private func pay(_ group: CommitGroup) {
        AckTicket.pay(group.tickets)
        answered(group)
    }

    /// Nobody waits for the group any more.
    private func answered(_ group: CommitGroup) {
        let now = WallClock.monotonic()
        context.ackLatency.record(nanoseconds: group.tickets.lazy.map { now - $0.arrival })
        context.waitingChanged(by: -group.tickets.reduce(0) { $0 + $1.bytes })
        group.tickets.removeAll(keepingCapacity: true)
    }

    private static func refusal(for error: SystemError) -> TraceError {
        TraceError(
            .exhausted,
            "The server's disk is full",
            remedy: "The batch was not stored; send it again later",
            cause: error
        )
    }

    /// Refuses the calls of a group that is not written; its barriers are asked for again. `reason`: what
    /// they are counted as.
    private func refuse(
        _ group: CommitGroup,
        requests: [IngestQueue.BarrierRequest],
        _ refusal: TraceError,
        as reason: String
    ) {
        var refused = queue.forget(group, refusal, requests: requests)
        for ticket in group.tickets {
            switch ticket.outcome {
            case .accepted(let events, _):
                rejected += UInt64(events)
                refused += 1
            case .duplicate(let events, _):
                deduplicated -= UInt64(events)
                rejected += UInt64(events)
                refused += 1
            case .refused: break
            }
            ticket.cancel(refusal)
        }
        for _ in 0..<refused { context.refusals.count(reason) }
        logger.error(
            "Batches refused",
            metadata: ["batches": "\(refused)", "reason": "\(refusal)"]
        )
        answered(group)
        queue.recycle(group)
    }

    /// What the disk holds after a failed write or sync is unknown: nothing may be acked any more, and
    /// only a new start, which reads the log, can tell.
    private func dieOf(_ error: SystemError) -> Never {
        logger.critical(
            "The ingest log can no longer be trusted; ending so that the next start recovers it",
            metadata: ["error": "\(error)"]
        )
        exit(1)
    }

    private func trim() {
        let below = fabric.trimmableLSN
        guard below > trimmed else { return }
        trimmed = below
        do {
            try writer.trim(below: below)
            context.logBegin = writer.begin
            state.verdicts.trim(below: writer.begin)
        } catch {
            logger.warning("An old log file could not be removed", metadata: ["error": "\(error)"])
        }
    }
}
