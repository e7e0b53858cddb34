import ClusterMessages
import TraceModel
import ZeroMQ

/// The workers that are connected, and what each said last of its outputs. A pure state machine.
struct WorkerSessions {
    private var sessions: [WorkerName: WorkerSession] = [:]
    /// Kept while a worker is away.
    private var outputs: [WorkerName: OutputReports.Worker] = [:]
    /// Whether what `outputReports` makes has changed since it was last made.
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

    /// The log up to `end` was sent in a share of `bytes`.
    mutating func sent(_ worker: WorkerName, upTo end: LSN, bytes: Int) {
        sessions[worker]?.sent(upTo: end, bytes: bytes)
    }

    /// The log up to `end` held nothing for the worker.
    mutating func skip(_ worker: WorkerName, to end: LSN) { sessions[worker]?.skip(to: end) }

    /// Takes what a connected worker says of itself. False where it cannot be true, given that the log ends at `head`.
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

    /// Another window is open, or other workers own slots.
    mutating func windowChanged() { hasNewOutputs = true }

    /// What the workers that own slots say, put together. `begin`: where a worker goes on from of which nothing is known.
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

/// One connected worker as the router sees it: how far it was sent the log, how far it has come, and
/// how many bytes it may still be sent. A pure state machine.
struct WorkerSession {
    let worker: WorkerName
    let peer: RoutingID
    let incarnation: UInt64
    let pid: UInt32
    /// Everything below has been sent.
    private(set) var position: LSN
    /// Where the last share ended: from there to `position` the log held nothing for this worker, which
    /// the next share tells it.
    private(set) var toldLSN: LSN
    private(set) var appliedLSN: LSN
    private(set) var checkpointLSN: LSN
    /// Shares on their way or being applied: where each ends, and its bytes. Oldest first.
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
        toldLSN = resume
        appliedLSN = resume
        checkpointLSN = checkpoint
    }

    /// Whether another share of this size may be sent: within the credit, or the only one outstanding.
    func maySend(bytes: Int) -> Bool {
        outstandingBytes == 0 || outstandingBytes + bytes <= Limits.workerCreditBytes
    }

    /// The log up to `end` has been sent in a share of `bytes`.
    mutating func sent(upTo end: LSN, bytes: Int) {
        precondition(end >= position)
        position = end
        toldLSN = end
        outstanding.append((end, bytes))
        outstandingBytes += bytes
    }

    /// The log up to `end` held nothing for this worker.
    mutating func skip(to end: LSN) {
        precondition(end >= position)
        position = end
    }

    /// What the worker says of itself; shares applied give their credit back. False where it cannot be
    /// true: what it claims does not exist yet, or it went back.
    mutating func progressed(applied: LSN, checkpoint: LSN, head: LSN) -> Bool {
        guard applied <= head, applied >= appliedLSN, checkpoint <= applied,
            checkpoint >= checkpointLSN
        else {
            return false
        }
        appliedLSN = applied
        checkpointLSN = checkpoint
        // Shares of an earlier session that were still on their way count too.
        position = max(position, applied)
        let done = outstanding.prefix { $0.end <= applied }
        outstandingBytes -= done.reduce(0) { $0 + $1.bytes }
        outstanding.removeFirst(done.count)
        return true
    }
}
