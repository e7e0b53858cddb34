import GRPCTransport
import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// Takes one received message into the open commit group: copies its bytes once, scans them where they
/// lie, and finds out whether it is new.
struct BatchAdmission: ~Copyable {
    enum Outcome {
        /// In the group: acked when the group is durable.
        case accepted(events: Int, sequence: UInt64)
        /// Came before: acked after what came before it.
        case duplicate(events: Int, sequence: UInt64)
        case refused(TraceError, events: Int)
    }

    private var index = EventIndex()

    /// `peerHost` stands for the host where the batch names none. Does not block.
    mutating func admit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        into group: CommitGroup,
        dedup: inout DedupWindow
    ) -> Outcome {
        let arrival = WallClock.now()
        let body = group.log.append(.batch, arrival: arrival, bodyBytes: message.count)
        message.copy(to: body)
        let batch = UnsafeRawBufferPointer(start: body, count: message.count)
        let summary: BatchSummary
        do throws(WireError) {
            summary = try BatchScanner.scan(batch, into: &index)
        } catch {
            group.log.discardLast()
            return .refused(error.traceError, events: 0)
        }
        let outcome = check(summary, batch: batch, dedup: &dedup, group: group)
        guard case .accepted = outcome else {
            group.log.discardLast()
            return outcome
        }
        let host = summary.host.isEmpty ? peerHost : Array(summary.host.buffer)
        route(summary, host: host, group: group)
        host.withUnsafeBytes { group.log.setHost($0) }
        return outcome
    }

    /// Finds what is wrong with a batch as a whole, and whether it came before.
    private func check(
        _ summary: borrowing BatchSummary,
        batch: UnsafeRawBufferPointer,
        dedup: inout DedupWindow,
        group: CommitGroup
    ) -> Outcome {
        let events = summary.total
        guard summary.hasClientID == summary.hasSequence else {
            let missing = summary.hasClientID ? "sequence" : "client_id"
            return .refused(
                TraceError(
                    .invalidArgument,
                    "\(missing) is unset: client_id and sequence go together, or neither is sent"
                ),
                events: events
            )
        }
        var entry = CommitGroup.Entry()
        if summary.hasSequence {
            let client = Array(summary.clientID.buffer)
            let digest =
                UInt64(Checksum.crc32c(batch)) << 32 | UInt64(batch.count & 0x7FFF_FFFF) | 1 << 31
            switch dedup.check(client: client, sequence: summary.sequence, digest: digest) {
            case .duplicate:
                return .duplicate(events: events, sequence: summary.sequence)
            case .differs:
                return .refused(
                    TraceError(
                        .invalidArgument,
                        "sequence \(summary.sequence) of client_id came before with other bytes"
                    ),
                    events: events
                )
            case .belowWindow:
                return .refused(
                    TraceError(
                        .invalidArgument,
                        "sequence \(summary.sequence) is more than \(Limits.dedupSequencesMax) behind "
                            + "the greatest of its client_id: too old to tell whether it came before"
                    ),
                    events: events
                )
            case .new:
                dedup.insert(client: client, sequence: summary.sequence, digest: digest)
                entry.dedupKey = .init(
                    client: client,
                    sequence: summary.sequence,
                    digest: digest
                )
            }
        }
        group.entries.append(entry)
        return .accepted(events: events, sequence: summary.sequence)
    }

    /// Notes for each event where it lies and which slot it goes to.
    private func route(_ summary: borrowing BatchSummary, host: [UInt8], group: CommitGroup) {
        var entry = group.entries.removeLast()
        entry.firstEvent = group.events.count
        entry.eventCount = index.count
        for resource in Resource.allCases {
            entry.accepted[Int(resource.rawValue)] = UInt32(summary.count(of: resource))
        }
        let hash = host.withUnsafeBytes { Slot.hash(host: $0) }
        for position in 0..<index.count {
            let event = index[position]
            entry.wireBytes[Int(event.resource)] += Int(event.length)
            group.events.append(
                RoutedEvents.Entry(
                    offset: event.offset,
                    length: event.length,
                    resource: event.resource,
                    slot: Slot.of(hostHash: hash, processID: event.processID)
                )
            )
        }
        group.entries.append(entry)
        group.lastBatchSeen = group.lastBatchSeen || summary.isLastBatch
    }
}
