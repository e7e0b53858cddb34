import IngestLog
import TraceModel

/// The batches that share one write and one `fdatasync`: their log records, where their events lie, and
/// who waits for them. Owned by one thread at a time: gRPC's while it is filled (under the queue's
/// lock), the committer's while it is written, the fabric's while it is routed, then used again.
final class CommitGroup: @unchecked Sendable {
    /// What the group knows of each of its log records beside the record itself.
    struct Entry {
        var firstEvent = 0
        /// Entries of `events` that are the record's: its events and its names.
        var eventCount = 0
        var accepted: InlineArray<6, UInt32> = InlineArray(repeating: 0)
        /// Bytes of events by resource, as they came.
        var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
        var dedupKey: DedupKey?
        /// Events that a verdict sets aside.
        var deadLettered: UInt64 = 0
        /// The batch said that it is its client's last.
        var isLastBatch = false
    }

    struct DedupKey {
        let client: [UInt8]
        let sequence: UInt64
        let digest: UInt64
    }

    @exclusivity(unchecked) var log: LogGroup
    @exclusivity(unchecked) var events = RoutedEvents()
    var entries: [Entry] = []
    var tickets: [AckTicket] = []
    /// Events refused or found to be duplicates while the group was open.
    var rejectedEvents: UInt64 = 0
    var deduplicatedEvents: UInt64 = 0

    /// Where the group before ended and where the next begins; set once durable. A file's head may stand
    /// between `begin` and the first record.
    var begin: LSN = 0
    var end: LSN = 0
    /// The totals once this group is durable.
    var totals = LogCounts()
    /// Barriers among the records, with the LSN behind each.
    var barriers: [(barrier: BarrierPayload, end: LSN)] = []

    var verdicts: [VerdictPayload] = []

    /// The log file that the group's only batch lies in already, where that is large.
    @exclusivity(unchecked) private var ahead: AheadFile?

    init() { log = LogGroup() }

    /// For one large batch of so many bytes.
    init(largeBatchBytes: Int) {
        log = LogGroup(aheadRecordBytes: largeBatchBytes + Limits.hostBytesMax)
    }

    /// The batch lies in this file.
    func isWritten(to ahead: consuming AheadFile) { self.ahead = consume ahead }

    /// The file of its batch, once; nil where there is none, and where the batch has been taken out.
    func takeAhead() -> AheadFile? {
        guard holdsBatches else {
            discardAhead()
            return nil
        }
        return ahead.take()
    }

    private func discardAhead() { if let ahead = ahead.take() { ahead.discard() } }

    /// Takes in who waits for one of its batches, and counts what that one comes to.
    func add(_ ticket: AckTicket) {
        switch ticket.outcome {
        case .accepted: break
        case .duplicate(let events, _): deduplicatedEvents += UInt64(events)
        case .refused(_, let events, _): rejectedEvents += UInt64(events)
        }
        tickets.append(ticket)
    }

    var isEmpty: Bool { entries.isEmpty }
    /// Whether the fabric has to see the group itself, as reading the log later would be too late.
    var concernsRouting: Bool { !barriers.isEmpty || !verdicts.isEmpty }
    var byteCount: Int { log.byteCount }
    /// What it holds whatever is in it: the most of it.
    var memoryBytes: Int { log.capacity + events.memoryBytes }
    /// Whether it tells of the time, and of nothing else.
    var isTick: Bool { log.offsets.count == 1 && log.record(at: log.offsets[0]).type == .tick }

    /// Batches that wait in the group, taken and not yet durable.
    var holdsBatches: Bool { tickets.contains { $0.isAccepted } }

    /// What came as a duplicate of a batch of one of these sequences is refused; returns how many batches that are, and
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

    /// What was taken out of a group.
    struct Removed {
        var tickets: [AckTicket] = []
        var keys: [DedupKey] = []
    }

    /// Takes out the batches whose calls have been held for as long as a call is, with their records. A stream that ends so
    /// takes its later batches with it: its client sends again what has no answer. O(group) where there are any.
    func takeOverdue(at now: Int64) -> Removed {
        var ended: Set<ObjectIdentifier> = []
        var isAny = false
        for ticket in tickets where ticket.hold.isOver(at: now) {
            isAny = true
            if let stream = ticket.endingStream { ended.insert(stream) }
        }
        guard isAny else { return Removed() }
        return remove {
            $0.hold.isOver(at: now) || $0.endingStream.map { ended.contains($0) } ?? false
        }
    }

    /// Takes out batches: their tickets, records, and events. What is no batch stays behind those that are left.
    private func remove(where isRemoved: (AckTicket) -> Bool) -> Removed {
        var removed = Removed()
        var kept: [AckTicket] = []
        // The batches among the entries come first, in the order of their tickets.
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
        let before = log.byteCount
        log.remove { gone.contains($0) }
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
        events.keep(ranges)
        entries = left
        let shift = LSN(before - log.byteCount)
        for index in barriers.indices { barriers[index].end -= shift }
        return removed
    }

    /// Forgets everything but the memory.
    func reset() {
        log.removeAll(keeping: 2 * Limits.commitGroupBytesMax)
        events.removeAll()
        entries.removeAll(keepingCapacity: true)
        tickets.removeAll(keepingCapacity: true)
        barriers.removeAll()
        verdicts.removeAll()
        rejectedEvents = 0
        deduplicatedEvents = 0
        discardAhead()
    }
}
