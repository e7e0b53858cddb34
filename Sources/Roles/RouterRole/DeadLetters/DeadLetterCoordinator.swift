import Glibc
import IngestLog
import Logging
import Synchronization
import SystemIO
import TraceModel
import TraceWire

/// Runs the thread that sets events aside: it reads them from the log, writes the dead letter, then has the verdict
/// logged. After a crash between two steps the letter does not count, and the case is submitted again.
///
/// Guarded by `condition`: `cases`, `requests`, `settled`, `isEnded`.
final class DeadLetterCoordinator: @unchecked Sendable {
    /// An operator's `tracectl skip`, to be handled by the fabric's thread.
    struct Skip: Sendable {
        let worker: WorkerName
        let to: LSN
        /// The LSN up to which the aggregator has counted the worker's events as written; nil if unknown.
        let counted: LSN?
        /// Called once, on any thread of the router.
        let answer: @Sendable (Result<DeadLetterCase.Outcome, TraceError>) -> Void
    }

    private let queue: IngestQueue
    private let context: RouterContext
    private let wakeup: Wakeup
    private let logger: Logger

    private let condition = ConditionLock()
    private var cases: [DeadLetterCase] = []
    private var requests: [Skip] = []
    private var settled: [WorkerName] = []
    private var isEnded = false

    private var index = EventIndex()

    /// The range to set aside, and the reason.
    fileprivate struct Plan {
        let from: LSN
        let to: LSN
        let cause: VerdictPayload.Cause
        let reason: String
        /// For a worker that starts anew: its start, and the LSN from which its events are not counted yet; otherwise
        /// nil.
        var renewal: (begin: LSN, counted: LSN)?
        var note = ""
    }

    /// A letter that is written, or the reason why there is none. It counts once its verdict is in the log.
    struct Letter {
        /// The verdict to log; nil if there was nothing to set aside.
        let verdict: VerdictPayload?
        fileprivate let plan: Plan
        /// Events that do not count as dead-lettered, because they were counted as written before.
        fileprivate var uncounted: UInt64 = 0
    }

    /// `wakeup` wakes the fabric's thread.
    init(queue: IngestQueue, context: RouterContext, wakeup: Wakeup, logger: Logger) {
        self.queue = queue
        self.context = context
        self.wakeup = wakeup
        self.logger = logger
    }

    // MARK: Other threads' side

    /// Queues an operator's command, from which the fabric's thread makes a case.
    func request(_ request: Skip) {
        condition.withLock { requests.append(request) }
        wakeup.signal()
    }

    /// Takes the operator's commands that the fabric's thread has to handle.
    func takeRequests() -> [Skip] {
        condition.withLock {
            defer { requests = [] }
            return requests
        }
    }

    /// Queues a case. The worker must not be sent anything until `takeSettled` returns it. Returns false if there is no
    /// room.
    func submit(_ new: DeadLetterCase) -> Bool {
        condition.withLock {
            guard cases.count < Limits.deadLetterCasesMax, !isEnded else { return false }
            cases.append(new)
            condition.signal()
            return true
        }
    }

    /// Returns the workers whose case has succeeded or failed. The group with a verdict is in the fabric's inbox before
    /// that.
    func takeSettled() -> [WorkerName] {
        condition.withLock {
            defer { settled = [] }
            return settled
        }
    }

    /// Lets `run` return; a case in progress is abandoned.
    func end() {
        condition.withLock {
            isEnded = true
            condition.signal()
        }
    }

    private var hasEnded: Bool { condition.withLock { isEnded } }

    // MARK: The thread

    /// Processes cases until `end` is called.
    func run() {
        while let next = take() {
            let outcome = decide(next)
            if case .failure(let error) = outcome {
                logger.error(
                    "Events could not be set aside",
                    metadata: ["worker": "\(next.worker)", "error": "\(error)"]
                )
            }
            condition.withLock { settled.append(next.worker) }
            wakeup.signal()
            next.answer(outcome)
        }
    }

    /// Waits for the next case; returns nil after `end`.
    private func take() -> DeadLetterCase? {
        condition.withLock {
            while cases.isEmpty, !isEnded {
                condition.wait(until: WallClock.monotonic() + 1_000_000_000)
            }
            return isEnded ? nil : cases.removeFirst()
        }
    }

    /// Processes a case: letter, verdict in the log, then the letter counts.
    private func decide(_ given: DeadLetterCase) -> Result<DeadLetterCase.Outcome, TraceError> {
        do {
            let letter = try write(given)
            if let verdict = letter.verdict { try log(verdict) }
            return .success(try count(letter, of: given.worker))
        } catch let error as TraceError { return .failure(error) } catch {
            return .failure(TraceError(.system, "The dead letter was not written", cause: error))
        }
    }

    /// Writes the letter of a case; it does not count yet. Blocks.
    func write(_ given: DeadLetterCase) throws -> Letter {
        guard given.verdicts.count < Limits.verdictsMax else {
            throw TraceError(
                .exhausted,
                "\(Limits.verdictsMax) verdicts are in force",
                remedy: "They go as the log is trimmed"
            )
        }
        let plan = try plan(for: given)
        guard plan.from < plan.to else {
            // No record has followed since, or all were set aside before.
            guard plan.renewal != nil else { throw Self.isPast(given.worker, plan) }
            return Letter(verdict: nil, plan: plan)
        }
        let name = DeadLetterName(worker: given.worker, from: plan.from, cause: plan.cause)
        var letter = try DeadLetterWriter(name)
        let end = try copy(given, plan, to: &letter)
        let verdict = VerdictPayload(
            worker: given.worker,
            cause: plan.cause,
            range: plan.from..<end,
            events: letter.events - letter.uncounted,
            reason: plan.reason
        )
        guard letter.events > 0 || plan.cause == .skip else {
            try FileSystem.remove(name.batches)
            throw TraceError(.notFound, "The record at LSN \(plan.from) holds none of its events")
        }
        try letter.finish(as: verdict)
        return Letter(verdict: verdict, plan: plan, uncounted: letter.uncounted)
    }

    /// Makes a letter count, whose verdict must be in the log, and restarts its worker without state if that is needed.
    /// Blocks.
    func count(_ letter: Letter, of worker: WorkerName) throws -> DeadLetterCase.Outcome {
        let plan = letter.plan
        var outcome = DeadLetterCase.Outcome(
            verdict: letter.verdict,
            end: letter.verdict?.range.upperBound ?? plan.from
        )
        if let verdict = letter.verdict {
            let name = DeadLetterName(verdict)
            try FileSystem.rename(name.pendingSidecar, to: name.sidecar)
            try FileSystem.syncDirectory(ClusterPaths.deadLetters)
            logger.error(
                "Events set aside",
                metadata: [
                    "worker": "\(worker)", "from_lsn": "\(plan.from)", "to_lsn": "\(outcome.end)",
                    "events": "\(verdict.events + letter.uncounted)", "reason": "\(plan.reason)",
                    "see": "tracectl deadletter show \(name)",
                ]
            )
        }
        guard let renewal = plan.renewal else { return outcome }
        // The worker starts without state, and skips its events up to the end.
        try CheckpointPosition.publishBlank(of: worker, at: renewal.begin, renewed: outcome.end)
        try FileSystem.remove(ClusterPaths.lost(of: worker))
        outcome.note = plan.note
        if letter.uncounted > 0 {
            outcome.note +=
                " \(letter.uncounted) of the letter's events were counted as written before, and are in"
                + " no final file."
        }
        return outcome
    }

    private static func isPast(_ worker: WorkerName, _ plan: Plan) -> TraceError {
        TraceError(
            .invalidArgument,
            "\(worker) stands at LSN \(plan.from) already, not below \(plan.to)"
        )
    }

    /// Determines the range of a case. For an operator's skip the worker's process is killed first, so that its
    /// checkpoint no longer changes.
    private func plan(for given: DeadLetterCase) throws -> Plan {
        switch given.ground {
        case .crash(let lsn, let reason):
            return Plan(from: lsn, to: lsn + 1, cause: .crash, reason: reason)
        case .skip(let to, let renewal):
            try WorkerProcess.end(given.worker)
            var plan: Plan
            if let checkpoint = try usableCheckpoint(of: given) {
                plan = Plan(
                    from: open(for: given, from: max(checkpoint, context.logBegin)),
                    to: to,
                    cause: .skip,
                    reason: "tracectl skip \(given.worker) --to \(to)"
                )
            } else {
                let positions = try renewal.positions(of: given.worker, end: to)
                plan = Plan(
                    from: open(for: given, from: positions.begin),
                    to: to,
                    cause: .skip,
                    reason: "tracectl skip \(given.worker) --to \(to), which begins anew"
                )
                plan.renewal = positions
                plan.note = Self.note(given.worker, positions.begin, isCutOff: renewal.isCutOff)
            }
            return plan
        }
    }

    /// Returns the first LSN at or after `lsn` that no verdict in force covers for the worker.
    private func open(for given: DeadLetterCase, from lsn: LSN) -> LSN {
        given.verdicts.firstOpen(for: given.worker, from: lsn)
    }

    /// Returns the LSN from which the worker continues; nil if its saved state is unusable: it has reported so in a
    /// file, or both copies are damaged.
    private func usableCheckpoint(of given: DeadLetterCase) throws -> LSN? {
        guard !FileSystem.exists(ClusterPaths.lost(of: given.worker)) else { return nil }
        do {
            return try CheckpointPosition.read(of: given.worker) ?? given.maps.firstOwned(
                by: given.worker
            )
                ?? context.logBegin
        } catch let error as TraceError where error.code == .corrupt { return nil }
    }

    private static func note(_ worker: WorkerName, _ begin: LSN, isCutOff: Bool) -> String {
        var note =
            "\(worker) begins anew, without the statistics it had; `tracectl deadletter replay` brings the"
            + " events that are set aside in again. Start it: `scripts/cluster restart \(worker)`."
        if isCutOff {
            note +=
                " Anything it had received before LSN \(begin) and not published is lost: the log no longer"
                + " holds it, it is counted as written, and it is in no final file."
        }
        return note
    }

    /// Copies the worker's events of all records that begin in the range; returns the end of the last record.
    private func copy(
        _ given: DeadLetterCase,
        _ plan: Plan,
        to letter: inout DeadLetterWriter
    ) throws -> LSN {
        var reader = LogReader(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: context.logSalt,
            from: plan.from,
            damaged: context.damaged
        )
        while reader.position < plan.to {
            guard !hasEnded else { throw TraceError(.exhausted, "The router is ending") }
            let bytes = try unsafe reader.next(budget: 1 << 20, limit: plan.to)
            for record in unsafe LogRecords(bytes)
            where record.type == .batch && !given.verdicts.covers(given.worker, record.lsn) {
                let counts = record.lsn >= plan.renewal?.counted ?? 0
                try copy(record, of: given, counts: counts, to: &letter)
            }
        }
        return reader.position
    }

    private func copy(
        _ record: LogRecord,
        of given: DeadLetterCase,
        counts: Bool,
        to letter: inout DeadLetterWriter
    ) throws {
        let body = unsafe record.body
        let summary = try unsafe BatchScanner.scan(body, into: &index)
        defer { index.shrink() }
        let owners = given.maps.place(at: record.lsn).map.owners(of: given.worker.resource)
        let hash = unsafe Slot.hash(host: record.host)
        var isFirst = true
        for position in 0..<index.count {
            let event = index[position]
            let slot = Slot.of(hostHash: hash, processID: event.processID)
            guard event.resource == given.worker.resource,
                Int(owners[Int(slot)]) == given.worker.index
            else {
                continue
            }
            if isFirst {
                try unsafe letter.begin(
                    host: record.host,
                    semantics: record.semantics,
                    arrival: record.arrival
                )
            }
            isFirst = false
            let start = Int(event.offset)
            let bytes = unsafe body[start..<start + Int(event.length)]
            try unsafe letter.add(.init(rebasing: bytes), counts: counts)
        }
        guard !isFirst, Resource.namedByAgents.contains(given.worker.resource) else { return }
        for name in summary.names
        where owners[Int(Slot.of(hostHash: hash, processID: name.processID))] == given.worker.index
        {
            let start = Int(name.offset)
            try unsafe letter.add(name: .init(rebasing: body[start..<start + Int(name.length)]))
        }
    }

    /// Logs the verdict; returns once it is durable and on its way to the fabric's thread.
    private func log(_ verdict: VerdictPayload) throws(TraceError) {
        let answer = Answer()
        queue.request(IngestQueue.VerdictRequest(verdict: verdict) { answer.give($0) })
        guard answer.wait() else {
            throw TraceError(.exhausted, "The log had no room for the verdict")
        }
    }
}

/// An answer that another thread gives, for one thread to wait for.
private final class Answer: @unchecked Sendable {
    private let condition = ConditionLock()
    private var value: Bool?

    func give(_ answer: Bool) {
        condition.withLock {
            value = answer
            condition.signal()
        }
    }

    func wait() -> Bool {
        condition.withLock {
            while true {
                if let value { return value }
                condition.wait(until: WallClock.monotonic() + 1_000_000_000)
            }
        }
    }
}

/// Controls a worker's process, identified by its lock in the data directory.
private enum WorkerProcess {
    /// Kills the worker's process, even if it is stopped, and returns when it has ended: its checkpoint does not change
    /// after that. Restarting it is left to the supervisor.
    /// - Throws: `TraceError(.unreachable)` if it does not end, `SystemError` if the lock cannot be read.
    static func end(_ worker: WorkerName) throws {
        let path = ClusterPaths.lock(of: worker)
        guard FileSystem.exists(path), try isRunning(path),
            let pid = pid_t(
                String(decoding: try FileSystem.contents(path), as: UTF8.self).split(
                    separator: "\n"
                ).first ?? ""
            ),
            pid > 1
        else { return }
        kill(pid, SIGKILL)
        let deadline = WallClock.monotonic() + 10_000_000_000
        while kill(pid, 0) == 0 {
            guard WallClock.monotonic() < deadline else {
                throw TraceError(.unreachable, "Process \(pid) of \(worker) does not end")
            }
            usleep(10_000)
        }
    }

    /// Returns whether a process holds the lock.
    private static func isRunning(_ path: String) throws(SystemError) -> Bool {
        let lock = try File(path, .readWrite)
        return try !lock.lock()
    }
}
