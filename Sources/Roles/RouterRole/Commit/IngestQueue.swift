import GRPCTransport
import IngestLog
import SystemIO
import TraceModel

/// Where gRPC's threads hand batches to the committer: one commit group being filled while another is
/// being written. What is not yet acked is bounded by the gRPC server's budget of held bytes.
///
/// A large batch has a group of its own, which another thread fills (`LargeBatches`) while small ones go on. When it joins,
/// the open group is closed behind what it has, so that the log's order is the order in which batches were taken.
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
    /// Groups before the open one, oldest first.
    private var closed: [CommitGroup] = []
    /// Large batches announced, and those of them whose group has joined.
    private var announced: UInt64 = 0
    private var joined: UInt64 = 0
    private var spares: [CommitGroup] = []
    /// What the spares hold, in bytes.
    private var spareBytes = 0
    /// What has been accepted, durable or about to be.
    private var dedup: DedupWindow
    /// With each the large batches that were announced before it, and have to stand before its barrier.
    private var requests: [(request: BarrierRequest, behind: UInt64)] = []
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
    @discardableResult func submit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        from sender: AckTicket.Sender
    ) -> BatchAdmission.Outcome? {
        condition.withLock {
            guard !isClosed else { return nil }
            let outcome = admission.admit(message, peerHost: peerHost, into: open) { key in
                dedup.admit(key)
            }
            open.add(
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

    /// A large batch is on its way: `join` follows. False where the queue is closed.
    func announceLarge() -> Bool {
        condition.withLock {
            guard !isClosed else { return false }
            announced += 1
            return true
        }
    }

    /// What the de-duplication window says of a large batch; it is remembered where it is new.
    func verdict(on key: CommitGroup.DedupKey) -> DedupWindow.Verdict {
        condition.withLock { dedup.admit(key) }
    }

    /// Takes in the group of a large batch that was announced, and whoever waits for it. `key`: the batch's own, if any.
    func join(_ group: CommitGroup, _ ticket: AckTicket, key: CommitGroup.DedupKey?) {
        condition.withLock {
            group.add(isForgotten(ticket, key) ? ticket.refused(Self.originalIsGone) : ticket)
            if !open.isEmpty || !open.tickets.isEmpty {
                closed.append(open)
                open = takeSpare() ?? CommitGroup()
            }
            closed.append(group)
            joined += 1
            condition.signal()
        }
    }

    /// Whether a duplicate's original has been refused since the duplicate was found to be one.
    private func isForgotten(_ ticket: AckTicket, _ key: CommitGroup.DedupKey?) -> Bool {
        guard case .duplicate = ticket.outcome, let key else { return false }
        return dedup.check(client: key.client, sequence: key.sequence, digest: key.digest) == .new
    }

    private static let originalIsGone = TraceError(
        .exhausted,
        "The batch that this one repeats could not be stored",
        remedy: "Send it again"
    )

    /// Takes no batch from now on: a barrier asked for next stands behind all there are.
    func close() { condition.withLock { isClosed = true } }

    /// Asks for a barrier.
    func request(_ request: BarrierRequest) {
        condition.withLock {
            requests.append((request, behind: announced))
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

    private func wakeCommitter() { if isCommitterWaiting { condition.signal() } }

    // MARK: The committer's side

    /// Waits until there is something to write or the deadline (monotonic ns) has passed; the group may
    /// be empty.
    func take(deadline: Int64) -> Taken {
        condition.withLock {
            isCommitterWaiting = true
            while isIdle, !isOver, WallClock.monotonic() < deadline {
                condition.wait(until: deadline)
            }
            isCommitterWaiting = false
            if isOver, isIdle { return .ended }
            if !closed.isEmpty { return .group(closed.removeFirst(), requests: [], verdicts: []) }
            gather(until: deadline)
            // Together: a barrier stands behind everything that came before its request.
            let due = requests.prefix { $0.behind <= joined }.map(\.request)
            requests.removeFirst(due.count)
            defer {
                open = takeSpare() ?? CommitGroup()
                verdicts = []
            }
            return .group(open, requests: due, verdicts: verdicts)
        }
    }

    /// Nothing comes any more.
    private var isOver: Bool { isEnded && joined == announced }

    /// Lets more batches come where many do: what they share costs each of them less. Waits no longer than until
    /// groups are `Limits.commitSpacingNanoseconds` apart or the deadline has passed, and not at all where few share one.
    private func gather(until deadline: Int64) {
        let end = min(lastTaken + Limits.commitSpacingNanoseconds, deadline)
        while lastShared >= Limits.commitSharedMin, open.byteCount < Limits.commitGroupBytesMax / 2,
            closed.isEmpty,
            requests.isEmpty, verdicts.isEmpty, !isEnded, WallClock.monotonic() < end
        { condition.wait(until: end) }
        lastTaken = WallClock.monotonic()
        lastShared = open.tickets.count
    }

    private var isIdle: Bool {
        closed.isEmpty && open.isEmpty && open.tickets.isEmpty && verdicts.isEmpty
            && (requests.first.map { $0.behind > joined } ?? true)
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
            let sequences = Set(keys.map(\.sequence))
            var count = 0
            for group in closed + [open] {
                let refused = group.refuseDuplicates(of: sequences, error)
                group.deduplicatedEvents -= refused.events
                group.rejectedEvents += refused.events
                count += refused.batches
            }
            return count
        }
    }

    /// Barriers that could not be written are still asked for, before later ones.
    func askAgain(_ unmet: [BarrierRequest]) {
        guard !unmet.isEmpty else { return }
        // When the queue has ended nobody is left to be answered.
        condition.withLock { if !isEnded { requests = unmet.map { ($0, behind: 0) } + requests } }
    }
}
