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
    }

    struct DedupKey {
        let client: [UInt8]
        let sequence: UInt64
        let digest: UInt64
    }

    @exclusivity(unchecked) var log = LogGroup()
    @exclusivity(unchecked) var events = RoutedEvents()
    var entries: [Entry] = []
    var tickets: [AckTicket] = []
    /// Events refused or found to be duplicates while the group was open.
    var rejectedEvents: UInt64 = 0
    var deduplicatedEvents: UInt64 = 0
    var lastBatchSeen = false

    /// Where the group before ended and where the next begins; set once durable. A file's head may stand
    /// between `begin` and the first record.
    var begin: LSN = 0
    var end: LSN = 0
    /// The totals once this group is durable.
    var totals = LogCounts()
    /// Barriers among the records, with the LSN behind each.
    var barriers: [(barrier: BarrierPayload, end: LSN)] = []

    var verdicts: [VerdictPayload] = []

    var isEmpty: Bool { entries.isEmpty }
    /// Whether the fabric has to see the group itself, as reading the log later would be too late.
    var concernsRouting: Bool { !barriers.isEmpty || !verdicts.isEmpty }
    var byteCount: Int { log.byteCount }
    /// What it holds whatever is in it: the most of it.
    var memoryBytes: Int { log.capacity + events.memoryBytes }
    /// Whether it tells of the time, and of nothing else.
    var isTick: Bool { log.offsets.count == 1 && log.record(at: log.offsets[0]).type == .tick }

    /// What came as a duplicate is refused; returns how many batches that are.
    func refuseDuplicates(_ error: TraceError) -> Int {
        var count = 0
        for index in tickets.indices {
            guard let refused = tickets[index].refusedIfDuplicate(error) else { continue }
            tickets[index] = refused
            count += 1
        }
        rejectedEvents += deduplicatedEvents
        deduplicatedEvents = 0
        return count
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
        lastBatchSeen = false
    }
}
