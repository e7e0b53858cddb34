import GRPCTransport
import IngestLog
import SystemIO
import TraceModel

/// Where gRPC's threads hand batches to the committer: one commit group being filled while another is
/// being written. What is not yet acked is bounded by the gRPC server's budget of held bytes.
///
/// Guarded by `condition`: everything but the condition itself.
final class IngestQueue: @unchecked Sendable {
    /// What the committer finds when it takes the group.
    enum Taken {
        case group(CommitGroup, requests: [BarrierRequest], verdicts: [VerdictRequest])
        /// No more batches will come, and the last group has been taken.
        case ended
    }

    private let condition = ConditionLock()
    private var admission: BatchAdmission
    private var open = CommitGroup()
    private var spares: [CommitGroup] = []
    /// What the spares hold, in bytes.
    private var spareBytes = 0
    /// What has been accepted, durable or about to be.
    private var dedup: DedupWindow
    private var requests: [BarrierRequest] = []
    private var verdicts: [VerdictRequest] = []
    private var isClosed = false
    private var isEnded = false
    private var isCommitterWaiting = false
    /// When the last group was taken (monotonic ns), and how many calls shared it.
    private var lastTaken: Int64 = 0
    private var lastShared = 0

    /// A barrier that somebody asked for, with the slot map to be in force behind it.
    struct BarrierRequest {
        let reason: BarrierPayload.Reason
        let slotMap: SlotMap?
        /// Called on the committer's thread once the barrier is durable.
        let done: @Sendable (BarrierPayload) -> Void
    }

    /// Events to be set aside, whose dead letter is written.
    struct VerdictRequest {
        let verdict: VerdictPayload
        /// Called on the committer's thread: true once the verdict is durable and handed to the fabric,
        /// false where it could not be written.
        let done: @Sendable (Bool) -> Void
    }

    /// `defaultSemantics`: what the fields of batches mean that do not say so themselves.
    init(dedup: DedupWindow, defaultSemantics: Semantics = .neutracer) {
        self.dedup = dedup
        admission = BatchAdmission(defaultSemantics: defaultSemantics)
    }

    // MARK: gRPC's side

    /// Takes a batch into the open group; its sender is answered when that is durable. Does not block
    /// but for other gRPC threads. Returns what became of the batch; nil where the queue is closed, and
    /// the call is the caller's to hold.
    @discardableResult
    func submit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        from sender: AckTicket.Sender
    ) -> BatchAdmission.Outcome? {
        condition.withLock {
            guard !isClosed else { return nil }
            let outcome = admission.admit(message, peerHost: peerHost, into: open, dedup: &dedup)
            switch outcome {
            case .accepted: break
            case .duplicate(let events, _): open.deduplicatedEvents += UInt64(events)
            case .refused(_, let events, _): open.rejectedEvents += UInt64(events)
            }
            open.tickets.append(
                AckTicket(
                    sender: sender,
                    outcome: outcome,
                    bytes: message.count,
                    arrival: WallClock.monotonic()
                )
            )
            wakeCommitter()
            return outcome
        }
    }

    /// Takes no batch from now on: a barrier asked for next stands behind all there are.
    func close() { condition.withLock { isClosed = true } }

    /// Asks for a barrier.
    func request(_ request: BarrierRequest) {
        condition.withLock {
            requests.append(request)
            condition.signal()
        }
    }

    /// Asks for a verdict.
    func request(_ request: VerdictRequest) {
        condition.withLock {
            verdicts.append(request)
            condition.signal()
        }
    }

    /// Lets the committer end once everything taken is durable.
    func end() {
        condition.withLock {
            isEnded = true
            condition.signal()
        }
    }

    private func wakeCommitter() {
        if isCommitterWaiting { condition.signal() }
    }

    // MARK: The committer's side

    /// Waits until there is something to write or the deadline (monotonic ns) has passed; the group may
    /// be empty.
    func take(deadline: Int64) -> Taken {
        condition.withLock {
            isCommitterWaiting = true
            while isIdle, !isEnded, WallClock.monotonic() < deadline {
                condition.wait(until: deadline)
            }
            isCommitterWaiting = false
            if isEnded, isIdle { return .ended }
            gather()
            // Together: a barrier stands behind everything that came before its request.
            defer {
                open = takeSpare() ?? CommitGroup()
                requests = []
                verdicts = []
            }
            return .group(open, requests: requests, verdicts: verdicts)
        }
    }

    /// Lets more batches come where many do: what they share costs each of them less. Waits no longer than until
    /// groups are `Limits.commitSpacingNanoseconds` apart, and not at all where few share one.
    private func gather() {
        let end = lastTaken + Limits.commitSpacingNanoseconds
        while lastShared >= Limits.commitSharedMin, open.byteCount < Limits.commitGroupBytesMax / 2,
            requests.isEmpty, verdicts.isEmpty, !isEnded, WallClock.monotonic() < end
        {
            condition.wait(until: end)
        }
        lastTaken = WallClock.monotonic()
        lastShared = open.tickets.count
    }

    private var isIdle: Bool {
        open.isEmpty && open.tickets.isEmpty && requests.isEmpty && verdicts.isEmpty
    }

    private func takeSpare() -> CommitGroup? {
        guard let spare = spares.popLast() else { return nil }
        spareBytes -= spare.memoryBytes
        return spare
    }

    /// A group whose memory can be filled again.
    func recycle(_ group: CommitGroup) {
        group.reset()
        condition.withLock {
            let bytes = spareBytes + group.memoryBytes
            guard bytes <= Limits.spareGroupsBytesMax else { return }
            spareBytes = bytes
            spares.append(group)
        }
    }

    /// Batches could not be written and may come again as new ones. What came meanwhile as a duplicate of one of them
    /// is refused with the same error. Returns how many calls that are.
    func forget(_ keys: [CommitGroup.DedupKey], _ error: TraceError) -> Int {
        guard !keys.isEmpty else { return 0 }
        return condition.withLock {
            for key in keys { dedup.remove(client: key.client, sequence: key.sequence) }
            let refused = open.refuseDuplicates(of: Set(keys.map(\.sequence)), error)
            open.deduplicatedEvents -= refused.events
            open.rejectedEvents += refused.events
            return refused.batches
        }
    }

    /// Barriers that could not be written are still asked for, before later ones.
    func askAgain(_ unmet: [BarrierRequest]) {
        guard !unmet.isEmpty else { return }
        // When the queue has ended nobody is left to be answered.
        condition.withLock { if !isEnded { requests = unmet + requests } }
    }
}
