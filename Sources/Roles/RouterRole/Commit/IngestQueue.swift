import GRPCTransport
import IngestLog
import SystemIO
import TraceModel

/// Passes batches from gRPC's threads to the committer: one commit group is filled while another is written. Batches
/// that are not acknowledged yet are bounded by the gRPC server's budget of held bytes.
///
/// A large batch has its own group, which another thread fills (`LargeBatches`) while small ones continue. When it
/// joins, the open group is closed with its current content, so that the log has the batches in the order in which they
/// were taken.
///
/// Every property is guarded by `condition`.
final class IngestQueue: @unchecked Sendable {
    /// What the committer takes.
    enum Taken {
        case group(CommitGroup, requests: [BarrierRequest], verdicts: [VerdictRequest])
        /// No more batches will follow, and the last group has been taken.
        case ended
    }

    private let condition = ConditionLock()
    private var admission: BatchAdmission
    private var open = CommitGroup()
    /// Groups before the open one, oldest first.
    private var closed: [CommitGroup] = []
    /// Number of large batches announced, and of those whose group has joined.
    private var announced: UInt64 = 0
    private var joined: UInt64 = 0
    private var spares: [CommitGroup] = []
    /// Bytes of memory of the spare groups.
    private var spareBytes = 0
    /// The batches that are accepted: durable ones and those on their way.
    private var dedup: DedupWindow
    /// Requested barriers, each with the number of large batches announced before it, which have to precede it in the
    /// log.
    private var requests: [(request: BarrierRequest, behind: UInt64)] = []
    private var verdicts: [VerdictRequest] = []
    private var isClosed = false
    private var isEnded = false
    private var isCommitterWaiting = false
    /// Time when the last group was taken (monotonic nanoseconds), and the number of calls in it.
    private var lastTaken: Int64 = 0
    private var lastShared = 0

    /// A requested barrier, with the slot map to be in force after it.
    struct BarrierRequest {
        let reason: BarrierPayload.Reason
        let slotMap: SlotMap?
        /// Called on the committer's thread once the barrier is durable.
        let done: @Sendable (BarrierPayload) -> Void
    }

    /// Events to set aside; their dead letter is written already.
    struct VerdictRequest {
        let verdict: VerdictPayload
        /// Called on the committer's thread: with true once the verdict is durable and handed to the fabric, with false
        /// if it could not be written.
        let done: @Sendable (Bool) -> Void
    }

    /// `defaultSemantics` is the meaning of the fields of batches that do not declare it.
    init(dedup: DedupWindow, defaultSemantics: Semantics = .neutracer) {
        self.dedup = dedup
        admission = BatchAdmission(defaultSemantics: defaultSemantics)
    }

    // MARK: gRPC's side

    /// Takes a batch into the open group; its sender is answered once that is durable. Blocks only for other gRPC
    /// threads. Returns the outcome; nil if the queue is closed, in which case the caller has to hold the call.
    @discardableResult func submit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        identity: HostIdentity = .any,
        from sender: AckTicket.Sender
    ) -> BatchAdmission.Outcome? {
        condition.withLock {
            guard !isClosed else { return nil }
            let outcome = admission.admit(
                message,
                peerHost: peerHost,
                identity: identity,
                into: open
            ) { key in
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

    /// Announces a large batch; `join` must follow. Returns false if the queue is closed.
    func announceLarge() -> Bool {
        condition.withLock {
            guard !isClosed else { return false }
            announced += 1
            return true
        }
    }

    /// Returns the status of a large batch in the de-duplication window, and remembers a new one there.
    func verdict(on key: CommitGroup.DedupKey) -> DedupWindow.Verdict {
        condition.withLock { dedup.admit(key) }
    }

    /// Adds the group of an announced large batch and the ticket of its sender. `key` is the batch's own, if it has
    /// one.
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

    /// Returns whether a batch was found to be a duplicate of one that has been refused since.
    private func isForgotten(_ ticket: AckTicket, _ key: CommitGroup.DedupKey?) -> Bool {
        guard case .duplicate = ticket.outcome, let key else { return false }
        return dedup.check(client: key.client, sequence: key.sequence, digest: key.digest) == .new
    }

    private static let originalIsGone = TraceError(
        .exhausted,
        "The batch that this one repeats could not be stored",
        remedy: "Send it again"
    )

    /// Stops taking batches: a barrier requested afterwards follows all of them.
    func close() { condition.withLock { isClosed = true } }

    /// Requests a barrier.
    func request(_ request: BarrierRequest) {
        condition.withLock {
            requests.append((request, behind: announced))
            condition.signal()
        }
    }

    /// Requests a verdict.
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

    /// Whether no more batches will follow.
    var hasEnded: Bool { condition.withLock { isEnded } }

    private func wakeCommitter() { if isCommitterWaiting { condition.signal() } }

    // MARK: The committer's side

    /// Waits until there is something to write or the deadline (monotonic nanoseconds) has passed; the group may be
    /// empty.
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
            // In the same turn, because a barrier follows everything that was taken before its request.
            let due = requests.prefix { $0.behind <= joined }.map(\.request)
            requests.removeFirst(due.count)
            defer {
                open = takeSpare() ?? CommitGroup()
                verdicts = []
            }
            return .group(open, requests: due, verdicts: verdicts)
        }
    }

    /// Whether nothing more will follow.
    private var isOver: Bool { isEnded && joined == announced }

    /// Waits for more batches under load, because batches that share a group cost less each. Waits only until groups
    /// are `Limits.commitSpacingNanoseconds` apart or the deadline has passed, and not at all if few batches share a
    /// group.
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

    /// Takes back a group whose memory can be reused.
    func recycle(_ group: CommitGroup) {
        group.reset()
        condition.withLock {
            let bytes = spareBytes + group.memoryBytes
            guard bytes <= Limits.spareGroupsBytesMax else { return }
            spareBytes = bytes
            spares.append(group)
        }
    }

    /// Forgets batches that could not be written, so that they count as new if sent again. Duplicates of them that
    /// arrived since are refused with the same error. Returns the number of those calls.
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

    /// Removes the batches whose calls have been held for the maximum time, and forgets them, while the committer cannot take
    /// a group. Returns their tickets, to be refused with `error` as the duplicates of them are.
    func takeOverdue(at now: Int64, _ error: TraceError) -> [AckTicket] {
        let removed = condition.withLock { () -> CommitGroup.Removed in
            var removed = CommitGroup.Removed()
            for group in closed + [open] {
                let more = group.takeOverdue(at: now)
                for ticket in more.tickets {
                    switch ticket.outcome {
                    case .accepted: group.rejectedEvents += UInt64(ticket.outcome.events)
                    case .duplicate(let events, _):
                        group.deduplicatedEvents -= UInt64(events)
                        group.rejectedEvents += UInt64(events)
                    case .refused: break
                    }
                }
                removed.tickets += more.tickets
                removed.keys += more.keys
            }
            return removed
        }
        _ = forget(removed.keys, error)
        return removed.tickets
    }

    /// Repeats the requests of barriers that could not be written, before later ones.
    func askAgain(_ unmet: [BarrierRequest]) {
        guard !unmet.isEmpty else { return }
        // After the queue has ended, nobody waits for the answer.
        condition.withLock { if !isEnded { requests = unmet.map { ($0, behind: 0) } + requests } }
    }
}
