import ActivityMonitoring
import Glibc
import IngestLog
import LogReplica
import Logging
import SystemIO
import TraceModel
import TraceTime

/// Runs the commit thread: takes the open commit group and carries out the actions of `CommitPlan`: writes and syncs
/// the group, answers its calls, and hands it on for routing. After `init` only that thread uses it.
final class Committer: @unchecked Sendable {
    private let queue: IngestQueue
    private let fabric: FabricInbox
    private let logger: Logger
    private let context: RouterContext
    private var log: CommitLog
    private var plan: CommitPlan
    /// The log's copy on other machines; nil if it is not replicated.
    private let replication: Replication?
    private var freeSpace = FreeSpace()
    private var refusals: RefusalReport
    private var diskWait = Recurrence()
    private var trimFailure = Recurrence()
    private var replicaFailure = Recurrence()
    private var replicaTrimFailure = Recurrence()

    /// How long the replica goes on between two decisions.
    private static let replicaNanoseconds: Int64 = 50_000_000
    /// Interval of retries while there is no space.
    private static let retryMicroseconds: UInt32 = 100_000

    /// `state`, `window` and `pending` are the result of recovery.
    init(
        queue: IngestQueue,
        fabric: FabricInbox,
        writer: consuming LogWriter,
        state: RouterState,
        window: OpenWindow = OpenWindow(),
        pending: PendingOutput = PendingOutput(),
        stems: StemClock,
        context: RouterContext,
        endFile: consuming LogEndFile? = nil,
        replication: Replication? = nil,
        logger: Logger
    ) {
        self.replication = replication
        self.queue = queue
        self.fabric = fabric
        self.logger = logger
        self.context = context
        refusals = RefusalReport(logger: logger)
        plan = CommitPlan(
            state: state,
            totals: writer.counts,
            window: window,
            windowAge: window.firstArrival.map { WallClock.now() - $0 } ?? 0,
            pending: pending,
            logBudgetBytes: context.logBudgetBytes,
            stems: stems,
            now: WallClock.monotonic(),
            isReplicated: replication != nil
        )
        context.uncertainEvents = state.uncertainEvents
        log = CommitLog(writer, endFile: endFile, state: state, logger: logger)
    }

    /// Runs until the queue has ended; everything taken is durable then, though not on the replica's disks if no quorum
    /// of it answers.
    func run() {
        while case .group(let group, let requests, let verdicts) = queue.take(
            deadline: plan.deadline
        ) {
            let now = WallClock.monotonic()
            log.check(now: now)
            plan.take(
                group,
                requests: requests,
                verdicts: verdicts,
                unaccounted: context.takeSettlement(),
                now: now
            )
            trim()
            guard carryOut() else { return log.close() }
        }
        let now = WallClock.monotonic()
        if plan.takeUncounted(now: now, arrival: WallClock.now()) { _ = carryOut() }
        log.close()
    }

    /// Carries out the plan's actions until the current group is done. Returns false if it is left as it is, because the
    /// process has to end.
    private func carryOut() -> Bool {
        while true {
            let action = plan.next(look)
            context.obstacle = plan.obstacle
            context.freeBytesMin = plan.freeBytesMin
            switch action {
            case .report(let notice): report(notice)
            case .refuse(let refusal): refuse(refusal)
            case .wait:
                usleep(Self.retryMicroseconds)
                trim()
            case .write(let group, let counts): write(group, counts)
            case .replicate: guard replicate() else { return false }
            case .refuseQueued(let reason, let error, let time):
                refuse(queue.takeOverdue(at: time, error), reason, error)
            case .answer(let group): pay(group)
            case .finish(let end):
                conclude(end)
                return true
            }
        }
    }

    /// Gathers the input of the plan's decisions.
    private func look() -> CommitPlan.Surroundings {
        CommitPlan.Surroundings(
            now: WallClock.monotonic(),
            arrival: WallClock.now(),
            log: log.range,
            volume: freeSpace.least(),
            outputs: context.outputs,
            slowest: context.slowest
        )
    }

    private func write(_ group: CommitGroup, _ counts: [LogCounts]) {
        let started = WallClock.monotonic()
        do throws(SystemError) {
            let range = try unsafe log.write(group, counts: counts, copy: copy) { buffer in
                plan.state.encodeHead(into: &buffer)
                context.logHeadBytes = buffer.count
            }
            plan.wrote(range)
        } catch {
            guard plan.failed(error) else { log.endProcess(after: error) }
            context.obstacle = plan.obstacle
            if diskWait.isNew("full") {
                logger.warning(
                    "The ingest log waits for disk space",
                    metadata: ["error": "\(error)"]
                )
            }
            usleep(Self.retryMicroseconds)
            return
        }
        log.noteEnd(plan.totals, group.barriers.isEmpty ? nil : plan.state)
        context.acceptedEvents = plan.totals.acceptedTotal
        context.uncertainEvents = plan.state.uncertainEvents
        context.commitLatency.record(nanoseconds: CollectionOfOne(WallClock.monotonic() - started))
        if group.holdsBatches {
            _ = diskWait.isOver()
            refusals.batchesTaken()
        }
    }

    /// Sends bytes of the log to the replica, before they are synced here.
    private func copy(_ bytes: UnsafeRawBufferPointer, _ lsn: LSN) -> Bool {
        guard let replication else { return false }
        unsafe replication.append(bytes, lsn: lsn)
        // Its end is found when the group is waited for.
        _ = replication.run(until: 0)
        return true
    }

    /// Lets the replica go on for a short time. Returns false if it stores nothing, and the process is asked to end: the
    /// next start sends what the replica lacks.
    private func replicate() -> Bool {
        guard let replication else { return true }
        let deadline = WallClock.monotonic() + Self.replicaNanoseconds
        if let ending = replication.run(until: deadline) {
            logger.critical(
                "The replicated log is another router's; ending, as nothing may be acknowledged any more",
                metadata: ["why": "\(ending)", "epoch": "\(replication.epoch)"]
            )
            exit(1)
        }
        plan.replicated(to: replication.safe, problem: replication.problem)
        guard let problem = replication.problem else {
            if replication.waitingBytes == 0, replicaFailure.isOver() {
                logger.info("The log's replica acknowledges again")
            }
            return true
        }
        if replicaFailure.isNew(problem) {
            logger.warning(
                "The log's replica acknowledges nothing",
                metadata: ["why": "\(problem)"]
            )
        }
        return !queue.hasEnded
    }

    /// Completes a group: answers its requests (barriers that were not written are requested again), and hands it to
    /// the fabric if it is durable.
    private func conclude(_ end: CommitPlan.Conclusion) {
        if end.outcome == .givenUp { queue.askAgain(end.requests) }
        if let barrier = end.barrier { for request in end.requests { request.done(barrier) } }
        if end.outcome == .durable {
            fabric.publish(end.group, recycle: queue.recycle)
        } else {
            queue.recycle(end.group)
        }
        for request in end.verdicts { request.done(end.areVerdictsDurable) }
        refusals.groupEnded()
        trim()
    }

    /// Removes the part of the log that no worker needs any more.
    private func trim() {
        do throws(SystemError) {
            guard try log.trim(below: fabric.trimmableLSN) else { return }
            context.logBegin = log.range.lowerBound
            plan.trimmed(below: log.range.lowerBound)
            trimReplica()
            _ = trimFailure.isOver()
        } catch {
            guard trimFailure.isNew("\(error)") else { return }
            logger.warning("An old log file could not be removed", metadata: ["error": "\(error)"])
        }
    }

    private func trimReplica() {
        do throws(ReplicaError) { try replication?.trim(below: log.range.lowerBound) } catch {
            guard replicaTrimFailure.isNew("\(error)") else { return }
            logger.warning("The replicated log is not trimmed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Calls

    private func pay(_ group: CommitGroup) {
        AckTicket.pay(group.tickets)
        answered(group.tickets)
        group.tickets.removeAll(keepingCapacity: true)
    }

    /// Records the latency of answered calls, and subtracts their bytes from those that wait for an answer.
    private func answered(_ tickets: [AckTicket]) {
        let now = WallClock.monotonic()
        context.ackLatency.record(nanoseconds: tickets.lazy.map { now - $0.arrival })
        context.waitingChanged(by: -tickets.reduce(0) { $0 + $1.bytes })
    }

    /// Refuses calls that were removed from the queue.
    private func refuse(_ tickets: [AckTicket], _ reason: String, _ error: TraceError) {
        guard !tickets.isEmpty else { return }
        refuse(
            CommitPlan.Refusal(
                reason: reason,
                error: error,
                tickets: tickets,
                keys: [],
                batches: tickets.count
            )
        )
    }

    private func refuse(_ refusal: CommitPlan.Refusal) {
        let count = refusal.batches + queue.forget(refusal.keys, refusal.error)
        // Counted before the answer is sent, so that a client that has its answer sees it in the metrics.
        for _ in 0..<count { context.refusals.count(refusal.reason) }
        for ticket in refusal.tickets { ticket.cancel(refusal.error) }
        refusals.add(count, refusal.reason, refusal.error)
        answered(refusal.tickets)
    }

    // MARK: Logging

    private func report(_ notice: CommitPlan.Notice) {
        switch notice {
        case .logAtHalf:
            let slowest = context.slowest
            let range = log.range
            logger.warning(
                "The ingest log has reached half of its budget",
                metadata: [
                    "bytes": "\(range.upperBound - range.lowerBound)",
                    "budget": "\(context.logBudgetBytes)",
                    "worker": "\(slowest.map { "\($0.worker)" } ?? "")",
                    "at_lsn": "\(slowest?.lsn ?? range.lowerBound)",
                ]
            )
        case .unexplained(let events, let uncertain):
            logger.error(
                "More events are unaccounted for than the log's damage explains",
                metadata: ["events": "\(events)", "uncertain": "\(uncertain)"]
            )
        case .settled(let events):
            logger.warning(
                "Of the log's damaged ranges so many events had not been applied",
                metadata: ["events": "\(events)"]
            )
        }
    }
}

/// Logs refused calls: once for each reason, however many groups it affects, and once when batches are taken again.
private struct RefusalReport {
    let logger: Logger
    /// For the current group: the number of refused calls, the last reason, and its error.
    private var count = 0
    private var last: (reason: String, error: TraceError)?
    private var recurrence = Recurrence()
    /// The number of calls refused since batches are not taken.
    private var total = 0

    init(logger: Logger) { self.logger = logger }

    mutating func add(_ count: Int, _ reason: String, _ error: TraceError) {
        self.count += count
        total += count
        last = (reason, error)
    }

    /// Logs what the group's calls were refused for, now that it is done.
    mutating func groupEnded() {
        guard let (reason, error) = last else { return }
        defer { (count, last) = (0, nil) }
        guard recurrence.isNew(reason) else { return }
        logger.error("Batches refused", metadata: ["batches": "\(count)", "reason": "\(error)"])
    }

    /// Logs that batches are taken again: a group with batches is in the log.
    mutating func batchesTaken() {
        groupEnded()
        guard recurrence.isOver() else { return }
        logger.info("Batches are taken again", metadata: ["refused": "\(total)"])
        total = 0
    }
}
