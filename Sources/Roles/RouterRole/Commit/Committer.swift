import ActivityMonitoring
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceModel
import TraceTime

/// The thread that makes batches durable: takes the open commit group, adds barriers and ticks that are
/// due, writes and syncs it, pays the tickets, and hands the group on to be routed. After `init` only
/// that thread touches it.
///
/// Where batches cannot be taken, or not be written, the group in hand waits here and later calls wait in the queue. Each
/// call waits for as long as `CallHold` says and is then refused alone, whichever group it is in: nothing here lasts
/// longer than that of the youngest call in the group, and those in the queue are younger.
final class Committer: @unchecked Sendable {
    private let queue: IngestQueue
    private let fabric: FabricInbox
    private let logger: Logger
    private let context: RouterContext
    private var writer: LogWriter
    /// Where the log's end is noted; nil where that can't be.
    private var endFile: LogEndFile?
    /// What is noted of windows and slots.
    private var endState = RawBuffer()
    private var state: RouterState
    private var planner: WindowPlanner
    private var gate: AdmissionGate
    private var freeSpace = FreeSpace()
    private var stems: StemClock
    private var totals: LogCounts
    /// Events refused and found to be duplicates that no record carries yet.
    private var rejected: UInt64 = 0
    private var deduplicated: UInt64 = 0
    /// In the group in hand.
    private var settlement: DamagePayload?
    private var lastTick: Int64 = 0
    private var lastEvents: Int64 = 0
    private var trimmed: LSN = 0
    private var diskWait = Recurrence()
    private var trimFailure = Recurrence()
    private var refusing = Recurrence()
    /// Since they are.
    private var refusedBatches = 0
    /// When it was last looked whether the log's files are there (monotonic ns).
    private var lastCheck: Int64 = 0

    private static let second: Int64 = 1_000_000_000
    /// How often it is looked whether there is room again.
    private static let retryMicroseconds: UInt32 = 100_000
    /// Ticks go on for this long after the last batch, so that what waits for time to pass sees it.
    private static let quietNanoseconds: Int64 = 60 * second

    /// `state`, `window`, `pending`: what recovery found.
    init(
        queue: IngestQueue, fabric: FabricInbox, writer: consuming LogWriter, state: RouterState,
        window: OpenWindow = OpenWindow(), pending: PendingOutput = PendingOutput(), stems: StemClock,
        context: RouterContext, endFile: consuming LogEndFile? = nil, logger: Logger
    ) {
        self.queue = queue
        self.fabric = fabric
        self.logger = logger
        self.context = context
        let age = window.firstArrival.map { WallClock.now() - $0 } ?? 0
        planner = WindowPlanner(state.slotMap, continuing: window, age: age, now: WallClock.monotonic())
        gate = AdmissionGate(logBudgetBytes: context.logBudgetBytes, window: window, pending: pending)
        self.stems = stems
        totals = writer.counts
        self.writer = writer
        self.state = state
        self.endFile = endFile
        context.uncertainEvents = state.uncertainEvents
        self.state.encodeEnd(into: &endState)
        noteEnd()
    }

    /// Runs until the queue has ended; everything taken is then durable.
    func run() {
        lastEvents = WallClock.monotonic()
        while case .group(let group, let requests, let verdicts) = queue.take(deadline: lastTick + Self.second) {
            let patience = CallHold(arrival: WallClock.monotonic())
            checkFiles()
            rejected += group.rejectedEvents
            deduplicated += group.deduplicatedEvents
            waitForRoom(group)
            let now = WallClock.monotonic()
            let barrier = addBarrier(to: group, requests: requests, now: now)
            for request in verdicts { add(request.verdict, to: group) }
            addSettlement(to: group)
            addTick(to: group, now: now)
            if group.isEmpty {
                pay(group)
                for request in verdicts { request.done(true) }
                queue.recycle(group)
                continue
            }
            guard commit(group, patience: patience) else {
                queue.askAgain(requests)
                for request in verdicts { request.done(false) }
                pay(group)
                queue.recycle(group)
                continue
            }
            note(group, barrier: barrier, now: now)
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
        if commit(group, patience: CallHold(arrival: WallClock.monotonic())) {
            fabric.publish(group, recycle: queue.recycle)
        }
    }

    // MARK: What stands in the way

    /// Returns once the group's batches may be taken, or none is left in it, as all have been held for too long.
    private func waitForRoom(_ group: CommitGroup) {
        trim()
        warnAtHalf()
        takeReports()
        var refused = RefusedCalls()
        while true {
            let obstacle = obstacle(adding: BatchSizes(group))
            context.obstacle = obstacle
            guard let obstacle, group.holdsBatches else { break }
            refuseOverdue(in: group, as: obstacle.rawValue, &refused) {
                gate.refusal(for: obstacle, slowest: context.slowest, end: writer.end, volume: freeSpace.least())
            }
            usleep(Self.retryMicroseconds)
            trim()
            takeReports()
        }
        tell(refused)
    }

    private func takeReports() {
        let reports = context.outputs
        gate.reported(reports)
        // Of another window the fabric has not heard yet.
        if reports.window == state.window { planner.reported(reports.windowBytes) }
    }

    private func obstacle(adding sizes: BatchSizes) -> AdmissionGate.Obstacle? {
        context.freeBytesMin = gate.freeBytesMin(adding: sizes)
        return gate.obstacle(logBytes: logBytes, freeBytes: freeSpace.least().bytes, adding: sizes)
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
                "worker": "\(slowest.map { "\($0.worker)" } ?? "")", "at_lsn": "\(slowest?.lsn ?? writer.begin)",
            ])
        planner.request(.size)
    }

    // MARK: What goes into a group

    /// Counts what the group adds to the open window.
    private func count(_ group: CommitGroup, in planner: inout WindowPlanner, now: Int64) {
        for entry in group.entries {
            for resource in Resource.allCases where entry.accepted[Int(resource.rawValue)] > 0 {
                let index = Int(resource.rawValue)
                planner.logged(resource, events: Int(entry.accepted[index]), bytes: entry.wireBytes[index], now: now)
            }
        }
        if group.entries.contains(where: \.isLastBatch) { planner.lastBatch(now: now) }
    }

    /// Puts a barrier behind the group's batches where one is due or asked for.
    private func addBarrier(
        to group: CommitGroup, requests: [IngestQueue.BarrierRequest], now: Int64
    ) -> BarrierPayload? {
        // What the group adds counts once it is durable.
        var ahead = planner
        count(group, in: &ahead, now: now)
        for request in requests { ahead.request(request.reason) }
        guard let reason = ahead.due(now: now) else { return nil }
        let arrival = WallClock.now()
        let second = stems.text(arrival)
        let slotMap = requests.compactMap(\.slotMap).last
        let barrier = BarrierPayload(
            window: state.window, reason: reason, stem: state.stem(second: second), slotMap: slotMap ?? state.slotMap)
        var body = RawBuffer()
        barrier.encode(into: &body)
        let target = group.log.append(.barrier, arrival: arrival, bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        group.entries.append(CommitGroup.Entry())
        // The offset behind the barrier is its end once the group's begin is known.
        group.barriers.append((barrier, LSN(group.byteCount)))
        lastTick = now
        return barrier
    }

    /// The group is durable.
    private func note(_ group: CommitGroup, barrier: BarrierPayload?, now: Int64) {
        if group.holdsBatches { lastEvents = now }
        count(group, in: &planner, now: now)
        if let barrier { planner.closed(next: barrier.slotMap, now: now) }
    }

    /// Puts a verdict behind the group's batches, unless it is in force already.
    private func add(_ verdict: VerdictPayload, to group: CommitGroup) {
        guard !state.verdicts.contains(verdict.worker, from: verdict.range.lowerBound) else { return }
        var body = RawBuffer()
        verdict.encode(into: &body)
        let target = group.log.append(.verdict, arrival: WallClock.now(), bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        var entry = CommitGroup.Entry()
        entry.deadLettered = verdict.events
        group.entries.append(entry)
        group.verdicts.append(verdict)
    }

    /// Says how many of the uncertain events were not applied, where that is known now.
    private func addSettlement(to group: CommitGroup) {
        settlement = nil
        guard let events = context.takeSettlement(), state.uncertainEvents > 0 else { return }
        guard events <= state.uncertainEvents else {
            logger.error(
                "More events are unaccounted for than the log's damage explains",
                metadata: ["events": "\(events)", "uncertain": "\(state.uncertainEvents)"])
            return
        }
        let damage = DamagePayload(range: writer.begin..<writer.end, events: events, settles: true)
        var body = RawBuffer()
        damage.encode(into: &body)
        let target = group.log.append(.damage, arrival: WallClock.now(), bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        var entry = CommitGroup.Entry()
        entry.deadLettered = events
        group.entries.append(entry)
        // So that nobody lags behind with it.
        appendTick(to: group)
        settlement = damage
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

    /// True once the group is durable. False where the disk is full: until none of its batches is left, as all have been
    /// held for too long, or, where it held none, until `patience` is over.
    private func commit(_ group: CommitGroup, patience: CallHold) -> Bool {
        let hadBatches = group.holdsBatches
        var refused = RefusedCalls()
        defer { tell(refused) }
        while true {
            do throws(SystemError) {
                try write(group)
                if group.holdsBatches { tellTaken() }
                return true
            } catch {
                guard error.isOutOfSpace else { dieOf(error) }
                context.obstacle = .diskSpace
                if diskWait.isNew("full") {
                    logger.warning("The ingest log waits for disk space", metadata: ["error": "\(error)"])
                }
                usleep(Self.retryMicroseconds)
                refuseOverdue(in: group, as: "disk_full", &refused) { Self.refusal(for: error) }
                let isOver = patience.isOver(at: WallClock.monotonic())
                if hadBatches ? !group.holdsBatches : isOver { return false }
            }
        }
    }

    private func write(_ group: CommitGroup) throws(SystemError) {
        let started = WallClock.monotonic()
        var running = totals
        running.rejected += rejected
        running.deduplicated += deduplicated
        var steps: [LogCounts] = []
        steps.reserveCapacity(group.entries.count)
        for entry in group.entries {
            for index in entry.accepted.indices { running.accepted[index] += UInt64(entry.accepted[index]) }
            running.deadLettered += entry.deadLettered
            steps.append(running)
        }
        let begin = writer.end
        func encodeHead(into buffer: inout RawBuffer) {
            state.encodeHead(into: &buffer)
            context.logHeadBytes = buffer.count
        }
        if let ahead = group.takeAhead() {
            try writer.commit(&group.log, ahead: ahead, countsAt: { steps[$0] }, head: encodeHead)
        } else {
            try writer.commit(&group.log, countsAt: { steps[$0] }, head: encodeHead)
        }
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
        gate.logged(BatchSizes(group), end: group.end)
        if !group.barriers.isEmpty {
            gate.windowClosed()
            endState.removeAll()
            state.encodeEnd(into: &endState)
        }
        noteEnd()
        if let settlement {
            state.note(settlement)
            context.uncertainEvents = state.uncertainEvents
            self.settlement = nil
            logger.warning(
                "Of the log's damaged ranges so many events had not been applied",
                metadata: ["events": "\(settlement.events)"])
        }
        for verdict in group.verdicts { state.verdicts.insert(verdict.range, of: verdict.worker) }
        context.commitLatency.record(nanoseconds: CollectionOfOne(WallClock.monotonic() - started))
    }

    /// Notes beside the log how far it goes: before anybody is answered.
    private func noteEnd() {
        do throws(SystemError) { try endFile?.note(writer.end, totals, state: endState.bytes) } catch {
            endFile = nil
            logger.warning("How far the log goes can't be noted beside it any more", metadata: ["error": "\(error)"])
        }
    }

    /// Ends the process, about a second after one of the log's files has been removed or cut.
    private func checkFiles() {
        let now = WallClock.monotonic()
        guard now - lastCheck >= Self.second else { return }
        lastCheck = now
        do throws(SystemError) { try writer.check() } catch { dieOf(error) }
    }

    private func pay(_ group: CommitGroup) {
        AckTicket.pay(group.tickets)
        answered(group.tickets)
        group.tickets.removeAll(keepingCapacity: true)
    }

    /// Nobody waits for these any more.
    private func answered(_ tickets: [AckTicket]) {
        let now = WallClock.monotonic()
        context.ackLatency.record(nanoseconds: tickets.lazy.map { now - $0.arrival })
        context.waitingChanged(by: -tickets.reduce(0) { $0 + $1.bytes })
    }

    private static func refusal(for error: SystemError) -> TraceError {
        TraceError(
            .exhausted, "The server's disk is full", remedy: "The batch was not stored; send it again later",
            cause: error)
    }

    /// Refuses the calls of the group that have been held for too long. `reason`: what they are counted as.
    private func refuseOverdue(
        in group: CommitGroup, as reason: String, _ refused: inout RefusedCalls, _ refusal: () -> TraceError
    ) {
        let removed = group.takeOverdue(at: WallClock.monotonic())
        guard !removed.tickets.isEmpty else { return }
        let refusal = refusal()
        var count = queue.forget(removed.keys, refusal)
        let doubles = group.refuseDuplicates(of: Set(removed.keys.map(\.sequence)), refusal)
        deduplicated -= doubles.events
        rejected += doubles.events
        count += doubles.batches
        for ticket in removed.tickets {
            switch ticket.outcome {
            case .accepted(let events, _):
                rejected += UInt64(events)
                count += 1
            case .duplicate(let events, _):
                deduplicated -= UInt64(events)
                rejected += UInt64(events)
                count += 1
            case .refused: break
            }
        }
        // Counted before the answer is sent, so that a client that has its answer finds it in the metrics.
        for _ in 0..<count { context.refusals.count(reason) }
        for ticket in removed.tickets { ticket.cancel(refusal) }
        refused.add(count, reason, refusal)
        answered(removed.tickets)
    }

    /// What the disk holds after a failed write or sync is unknown: nothing may be acked any more, and
    /// only a new start, which reads the log, can tell.
    private func dieOf(_ error: SystemError) -> Never {
        if error.errno == ESTALE { restore(error) }
        logger.critical(
            "The ingest log can no longer be trusted; ending so that the next start recovers it",
            metadata: ["error": "\(error)"])
        exit(1)
    }

    /// A file of the log was removed, moved away or cut while this process wrote to it: what is still open is put back.
    private func restore(_ error: SystemError) {
        let outcome: Logger.Message
        do throws(SystemError) {
            outcome =
                try writer.restoreFile()
                ? "The ingest log's newest file was removed or moved away, and is written anew from what was open"
                : "A file of the ingest log was removed, moved away or cut"
        } catch { outcome = "The ingest log's newest file was removed, and can't be written anew" }
        logger.critical(outcome, metadata: ["file": "\(error.subject)", "end_lsn": "\(writer.end)"])
    }

    private func trim() {
        let below = fabric.trimmableLSN
        guard below > trimmed else { return }
        trimmed = below
        do {
            try writer.trim(below: below)
            context.logBegin = writer.begin
            state.verdicts.trim(below: writer.begin)
            gate.trim(below: writer.begin)
            _ = trimFailure.isOver()
        } catch {
            guard trimFailure.isNew("\(error)") else { return }
            logger.warning("An old log file could not be removed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: What is said of refusals

    /// Once for each reason, however many groups it meets.
    private func tell(_ refused: RefusedCalls) {
        guard let (reason, refusal) = refused.last else { return }
        refusedBatches += refused.count
        guard refusing.isNew(reason) else { return }
        logger.error("Batches refused", metadata: ["batches": "\(refused.count)", "reason": "\(refusal)"])
    }

    private func tellTaken() {
        _ = diskWait.isOver()
        guard refusing.isOver() else { return }
        logger.info("Batches are taken again", metadata: ["refused": "\(refusedBatches)"])
        refusedBatches = 0
    }
}

/// Calls refused while one group waited: told together.
private struct RefusedCalls {
    private(set) var count = 0
    /// Why the last ones were, in a word and in the words of the refusal.
    private(set) var last: (reason: String, refusal: TraceError)?

    mutating func add(_ count: Int, _ reason: String, _ refusal: TraceError) {
        self.count += count
        last = (reason, refusal)
    }
}
