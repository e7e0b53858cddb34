import IngestLog
import TraceModel

/// The batches that share one write and one `fdatasync`: their log records, the positions of their events, and the
/// tickets of their senders. Owned by one thread at a time: a gRPC thread while it is filled (under the queue's lock),
/// the committer while it is written, the fabric while it is routed; then it is reused.
final class CommitGroup: @unchecked Sendable {
    /// Metadata of one of the group's log records.
    struct Entry {
        var firstEvent = 0
        /// Number of entries of `events` that belong to the record: its events and its names.
        var eventCount = 0
        var accepted: InlineArray<6, UInt32> = InlineArray(repeating: 0)
        /// Bytes of events as received, by resource.
        var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
        var dedupKey: DedupKey?
        /// Events that a verdict sets aside.
        var deadLettered: UInt64 = 0
        /// Whether the batch is marked as its client's last.
        var isLastBatch = false
    }

    /// Identifies a batch for de-duplication.
    struct DedupKey {
        let client: [UInt8]
        let sequence: UInt64
        let digest: UInt64
    }

    @exclusivity(unchecked) var log: LogGroup
    @exclusivity(unchecked) var events = RoutedEvents()
    var entries: [Entry] = []
    var tickets: [AckTicket] = []
    /// Events refused, or found to be duplicates, while the group was open.
    var rejectedEvents: UInt64 = 0
    var deduplicatedEvents: UInt64 = 0

    /// Ends of the previous group and of this one; set once durable. A file's head may precede the first record, after
    /// `begin`.
    var begin: LSN = 0
    var end: LSN = 0
    /// The totals as of this group, once it is durable.
    var totals = LogCounts()
    /// Barriers among the records, each with the LSN after it.
    var barriers: [(barrier: BarrierPayload, end: LSN)] = []

    var verdicts: [VerdictPayload] = []

    /// The log file that already contains the group's only batch, if that is large.
    @exclusivity(unchecked) private var ahead: AheadFile?

    init() { unsafe log = LogGroup() }

    /// Creates a group for one large batch of this size in bytes.
    init(largeBatchBytes: Int) {
        unsafe log = LogGroup(aheadRecordBytes: largeBatchBytes + Limits.hostBytesMax)
    }

    /// Sets the file that contains the batch.
    func isWritten(to ahead: consuming AheadFile) { unsafe self.ahead = consume ahead }

    /// Takes the file of the batch; nil if there is none, it was taken before, or the batch was removed.
    func takeAhead() -> AheadFile? {
        guard holdsBatches else {
            discardAhead()
            return nil
        }
        return unsafe ahead.take()
    }

    private func discardAhead() { if let ahead = unsafe ahead.take() { ahead.discard() } }

    /// Adds the ticket of one of the group's batches, and counts its outcome.
    func add(_ ticket: AckTicket) {
        switch ticket.outcome {
        case .accepted: break
        case .duplicate(let events, _): deduplicatedEvents += UInt64(events)
        case .refused(_, let events, _): rejectedEvents += UInt64(events)
        }
        tickets.append(ticket)
    }

    var isEmpty: Bool { entries.isEmpty }
    /// Whether the fabric must receive the group itself, because reading it from the log later would be too late.
    var concernsRouting: Bool { !barriers.isEmpty || !verdicts.isEmpty }
    var byteCount: Int { unsafe log.byteCount }
    /// Bytes of the large allocations, which the group keeps regardless of its content.
    var memoryBytes: Int { unsafe log.capacity + events.memoryBytes }
    /// Whether the group contains only a tick.
    var isTick: Bool {
        unsafe log.offsets.count == 1 && log.record(at: log.offsets[0]).type == .tick
    }

    /// Whether the group contains batches that are taken but not yet durable.
    var holdsBatches: Bool { tickets.contains { $0.isAccepted } }

    /// Refuses the duplicates of batches with one of these sequences; returns the number of refused batches and of
    /// their events.
    func refuseDuplicates(
        of sequences: Set<UInt64>,
        _ error: TraceError
    ) -> (batches: Int, events: UInt64) {
        var refused = (batches: 0, events: UInt64(0))
        for index in tickets.indices {
            guard let ticket = tickets[index].refusedIfDuplicate(of: sequences, error) else {
                continue
            }
            if case .refused(_, let events, _) = ticket.outcome { refused.events += UInt64(events) }
            refused.batches += 1
            tickets[index] = ticket
        }
        return refused
    }

    /// Batches that were removed from a group.
    struct Removed {
        var tickets: [AckTicket] = []
        var keys: [DedupKey] = []
    }

    /// Removes the batches whose calls have been held for the maximum time, with their records. If that ends a stream,
    /// its later batches are removed too: the client sends unanswered batches again. O(group) if there are any.
    func takeOverdue(at now: Int64) -> Removed {
        guard tickets.contains(where: { $0.hold.isOver(at: now) }) else { return Removed() }
        return remove(where: overdue(at: now))
    }

    /// Returns whether a ticket's call has been held for the maximum time, or the stream of one that has was ended by it.
    private func overdue(at now: Int64) -> (AckTicket) -> Bool {
        let ended = Set(tickets.lazy.filter { $0.hold.isOver(at: now) }.compactMap(\.endingStream))
        return { $0.hold.isOver(at: now) || $0.endingStream.map { ended.contains($0) } ?? false }
    }

    /// Removes the tickets of calls that have been held for the maximum time, and of the later batches of streams that
    /// this ends. Their records stay, because they are in the log.
    func takeOverdueTickets(at now: Int64) -> [AckTicket] {
        let isOverdue = overdue(at: now)
        defer { tickets.removeAll(where: isOverdue) }
        return tickets.filter(isOverdue)
    }

    /// Removes batches: their tickets, records, and events. Records that are not batches stay, behind the remaining
    /// ones.
    private func remove(where isRemoved: (AckTicket) -> Bool) -> Removed {
        var removed = Removed()
        var kept: [AckTicket] = []
        // The entries of batches come first, in the order of their tickets.
        var gone: Set<Int> = []
        var position = 0
        for ticket in tickets {
            let isGone = isRemoved(ticket)
            if isGone { removed.tickets.append(ticket) } else { kept.append(ticket) }
            guard ticket.isAccepted else { continue }
            if isGone { gone.insert(position) }
            position += 1
        }
        tickets = kept
        guard !gone.isEmpty else { return removed }
        let before = unsafe log.byteCount
        unsafe log.remove { gone.contains($0) }
        var ranges: [Range<Int>] = []
        var left: [Entry] = []
        var firstEvent = 0
        for (index, entry) in entries.enumerated() {
            if gone.contains(index) {
                if let key = entry.dedupKey { removed.keys.append(key) }
                continue
            }
            var entry = entry
            if entry.eventCount > 0 {
                ranges.append(entry.firstEvent..<entry.firstEvent + entry.eventCount)
            }
            entry.firstEvent = firstEvent
            firstEvent += entry.eventCount
            left.append(entry)
        }
        unsafe events.keep(ranges)
        entries = left
        let shift = unsafe LSN(before - log.byteCount)
        for index in barriers.indices { barriers[index].end -= shift }
        return removed
    }

    /// Clears the group but keeps its memory.
    func reset() {
        unsafe log.removeAll(keeping: 2 * Limits.commitGroupBytesMax)
        unsafe events.removeAll()
        entries.removeAll(keepingCapacity: true)
        tickets.removeAll(keepingCapacity: true)
        barriers.removeAll()
        verdicts.removeAll()
        rejectedEvents = 0
        deduplicatedEvents = 0
        discardAhead()
    }
}
