import ClusterMessages
import TraceModel
import ZeroMQ

/// The connected workers, and the last output report of each. A pure state machine.
struct WorkerSessions {
    private var sessions: [WorkerName: WorkerSession] = [:]
    /// Kept while a worker is disconnected.
    private var outputs: [WorkerName: OutputReports.Worker] = [:]
    /// Whether the result of `outputReports` has changed since its last call.
    private(set) var hasNewOutputs = true

    subscript(worker: WorkerName) -> WorkerSession? { sessions[worker] }

    var all: some Collection<WorkerSession> { sessions.values }

    mutating func begin(_ session: WorkerSession) {
        sessions[session.worker] = session
        hasNewOutputs = true
    }

    mutating func end(_ worker: WorkerName) {
        if sessions.removeValue(forKey: worker) != nil { hasNewOutputs = true }
    }

    /// Notes that the log up to `end` was sent in a share of `bytes` bytes.
    mutating func sent(_ worker: WorkerName, upTo end: LSN, bytes: Int) {
        sessions[worker]?.sent(upTo: end, bytes: bytes)
    }

    /// Notes that the log up to `end` has no records for the worker.
    mutating func skip(_ worker: WorkerName, to end: LSN) { sessions[worker]?.skip(to: end) }

    /// Handles a connected worker's progress report. Returns false if it cannot be true, given that the log ends at
    /// `head`.
    mutating func progressed(_ progress: WorkerProgress, head: LSN) -> Bool {
        outputs[progress.worker] = OutputReports.Worker(
            checkpointLSN: progress.checkpointLSN,
            window: progress.window,
            windowBytes: Int(clamping: progress.windowBytes),
            mergeBytes: Int(clamping: progress.mergeBytes)
        )
        hasNewOutputs = true
        return sessions[progress.worker]?.progressed(
            applied: progress.appliedLSN,
            checkpoint: progress.checkpointLSN,
            head: head
        ) ?? false
    }

    /// Notes that another window is open, or the owners of slots have changed.
    mutating func windowChanged() { hasNewOutputs = true }

    /// Combines the reports of the workers that own slots. `begin` is the LSN from which a worker without a report
    /// continues.
    mutating func outputReports(
        of workers: [WorkerName],
        window: UInt64,
        begin: LSN
    ) -> OutputReports {
        hasNewOutputs = false
        return OutputReports(
            window: window,
            begin: begin,
            workers: workers.map { ($0, outputs[$0], sessions[$0]?.appliedLSN) }
        )
    }
}

/// The router's view of one connected worker: how far it was sent the log, how far it has applied it, and its remaining
/// credit in bytes. A pure state machine.
struct WorkerSession {
    let worker: WorkerName
    let peer: RoutingID
    let incarnation: UInt64
    let pid: UInt32
    /// All records below this LSN have been sent, or are not for this worker.
    private(set) var position: LSN
    /// The end of the last share. The log between it and `position` has no records for this worker; the next share
    /// includes that range.
    private(set) var sentLSN: LSN
    private(set) var appliedLSN: LSN
    private(set) var checkpointLSN: LSN
    /// Shares in transit or being applied, each with its end and bytes. Oldest first.
    private var outstanding: [(end: LSN, bytes: Int)] = []
    private var outstandingBytes = 0

    init(
        worker: WorkerName,
        peer: RoutingID,
        incarnation: UInt64,
        pid: UInt32,
        resume: LSN,
        checkpoint: LSN
    ) {
        self.worker = worker
        self.peer = peer
        self.incarnation = incarnation
        self.pid = pid
        position = resume
        sentLSN = resume
        appliedLSN = resume
        checkpointLSN = checkpoint
    }

    /// Returns whether another share of this size may be sent: it is within the credit, or no share is outstanding.
    func maySend(bytes: Int) -> Bool {
        outstandingBytes == 0 || outstandingBytes + bytes <= Limits.workerCreditBytes
    }

    /// Notes that the log up to `end` has been sent in a share of `bytes` bytes.
    mutating func sent(upTo end: LSN, bytes: Int) {
        precondition(end >= position)
        position = end
        sentLSN = end
        outstanding.append((end, bytes))
        outstandingBytes += bytes
    }

    /// Notes that the log up to `end` has no records for this worker.
    mutating func skip(to end: LSN) {
        precondition(end >= position)
        position = end
    }

    /// Handles the worker's progress report; the credit of applied shares is returned. Returns false if the report
    /// cannot be true: it claims LSNs that do not exist yet, or went back.
    mutating func progressed(applied: LSN, checkpoint: LSN, head: LSN) -> Bool {
        guard applied <= head, applied >= appliedLSN, checkpoint <= applied,
            checkpoint >= checkpointLSN
        else {
            return false
        }
        appliedLSN = applied
        checkpointLSN = checkpoint
        // Shares of an earlier session that were still in transit count too.
        position = max(position, applied)
        let done = outstanding.prefix { $0.end <= applied }
        outstandingBytes -= done.reduce(0) { $0 + $1.bytes }
        outstanding.removeFirst(done.count)
        return true
    }
}
