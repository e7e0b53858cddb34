import TraceModel
import ZeroMQ

/// One connected worker as the router sees it: how far it was sent the log, how far it has come, and
/// how many bytes it may still be sent. A pure state machine.
struct WorkerSession {
    let worker: WorkerName
    let peer: RoutingID
    let incarnation: UInt64
    let pid: UInt32
    /// Everything below has been sent.
    private(set) var position: LSN
    private(set) var appliedLSN: LSN
    private(set) var checkpointLSN: LSN
    /// Share bytes sent and applied since the session began.
    private var sentBytes: UInt64 = 0
    private var returnedBytes: UInt64 = 0

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
        appliedLSN = resume
        checkpointLSN = checkpoint
    }

    /// Whether another share of this size may be sent: within the credit, or the only one outstanding.
    func maySend(bytes: Int) -> Bool {
        let outstanding = sentBytes - returnedBytes
        return outstanding == 0 || outstanding + UInt64(bytes) <= UInt64(Limits.workerCreditBytes)
    }

    /// The log up to `end` has been sent in a share of `bytes`.
    mutating func sent(upTo end: LSN, bytes: Int) {
        precondition(end >= position)
        position = end
        sentBytes += UInt64(bytes)
    }

    /// The log up to `end` held nothing for this worker.
    mutating func skip(to end: LSN) {
        precondition(end >= position)
        position = end
    }

    /// What the worker says of itself. False where it cannot be true.
    mutating func progressed(applied: LSN, checkpoint: LSN, returnedBytes: UInt64) -> Bool {
        guard applied <= position, applied >= appliedLSN, checkpoint <= applied,
            checkpoint >= checkpointLSN, returnedBytes <= sentBytes,
            returnedBytes >= self.returnedBytes
        else { return false }
        appliedLSN = applied
        checkpointLSN = checkpoint
        self.returnedBytes = returnedBytes
        return true
    }
}
