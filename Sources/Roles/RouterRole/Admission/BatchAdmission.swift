import GRPCTransport
import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// Takes one received message into the open commit group: copies its bytes once, scans them where they
/// lie, and finds out whether it is new.
struct BatchAdmission: ~Copyable {
    enum Outcome: Sendable {
        /// In the group: acked when the group is durable.
        case accepted(events: Int, sequence: UInt64)
        /// Came before: acked after what came before it.
        case duplicate(events: Int, sequence: UInt64)
        case refused(TraceError, events: Int, sequence: UInt64)

        var events: Int {
            switch self {
            case .accepted(let events, _), .duplicate(let events, _), .refused(_, let events, _):
                events
            }
        }

        var sequence: UInt64 {
            switch self {
            case .accepted(_, let sequence), .duplicate(_, let sequence),
                .refused(_, _, let sequence):
                sequence
            }
        }
    }

    private var index = EventIndex()
    /// What the fields of a batch mean that does not say so itself.
    private let defaultSemantics: Semantics

    init(defaultSemantics: Semantics = .neutracer) { self.defaultSemantics = defaultSemantics }

    /// `peerHost` stands for the host where the batch names none. `verdict`: what the de-duplication window says of a batch
    /// that has a key, and otherwise could be taken; a new one is remembered there.
    mutating func admit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        into group: CommitGroup,
        verdict: (CommitGroup.DedupKey) -> DedupWindow.Verdict
    ) -> Outcome {
        let arrival = WallClock.now()
        let body = group.log.append(.batch, arrival: arrival, bodyBytes: message.count)
        message.copy(to: body)
        let batch = UnsafeRawBufferPointer(start: body, count: message.count)
        let summary: BatchSummary
        do throws(WireError) { summary = try BatchScanner.scan(batch, into: &index) } catch {
            let events = BatchScanner.countEvents(batch)
            group.log.discardLast()
            return .refused(error.traceError, events: events, sequence: 0)
        }
        let outcome = check(summary, batch: batch, group: group, verdict: verdict)
        guard case .accepted = outcome else {
            group.log.discardLast()
            return outcome
        }
        let host = summary.host.isEmpty ? peerHost : Array(summary.host.buffer)
        route(summary, host: host, group: group)
        host.withUnsafeBytes { group.log.setHost($0) }
        group.log.setSemantics(summary.semantics ?? defaultSemantics)
        return outcome
    }

    /// Finds what is wrong with a batch as a whole, and whether it came before.
    private func check(
        _ summary: BatchSummary,
        batch: UnsafeRawBufferPointer,
        group: CommitGroup,
        verdict: (CommitGroup.DedupKey) -> DedupWindow.Verdict
    ) -> Outcome {
        let events = summary.total
        let sequence = summary.sequence
        func refused(_ reason: String) -> Outcome {
            .refused(TraceError(.invalidArgument, reason), events: events, sequence: sequence)
        }
        guard summary.hasClientID == summary.hasSequence else {
            let missing = summary.hasClientID ? "sequence" : "client_id"
            return refused("\(missing) is unset: send both client_id and sequence, or neither")
        }
        // Repaired for the output, two hosts could become one, whose processes lie in slots of both.
        guard String(validating: summary.host.buffer, as: UTF8.self) != nil else {
            return refused("host: no valid UTF-8")
        }
        var entry = CommitGroup.Entry()
        if summary.hasSequence {
            let key = CommitGroup.DedupKey(
                client: Array(summary.clientID.buffer),
                sequence: sequence,
                digest: DedupWindow.digest(of: batch)
            )
            switch verdict(key) {
            case .duplicate: return .duplicate(events: events, sequence: sequence)
            case .differs:
                return refused(
                    "sequence \(sequence) of this client_id came before with other bytes"
                )
            case .belowWindow:
                return refused(
                    "sequence \(sequence) is \(Limits.dedupSequencesMax) or more behind the greatest"
                        + " of its range of this client_id: whether it came before is no longer known"
                )
            case .new: entry.dedupKey = key
            }
        }
        group.entries.append(entry)
        return .accepted(events: events, sequence: sequence)
    }

    /// Notes for each event, and for each name, where it lies and which slot it goes to.
    private func route(_ summary: BatchSummary, host: [UInt8], group: CommitGroup) {
        var entry = group.entries.removeLast()
        entry.firstEvent = group.events.count
        entry.eventCount = index.count + summary.names.count * Resource.namedByAgents.count
        for resource in Resource.allCases {
            entry.accepted[Int(resource.rawValue)] = UInt32(summary.count(of: resource))
        }
        let hash = host.withUnsafeBytes { Slot.hash(host: $0) }
        for position in 0..<index.count {
            let event = index[position]
            entry.wireBytes[Int(event.resource.rawValue)] += Int(event.length)
            group.events.append(RoutedEvents.Entry(event, hostHash: hash))
        }
        for name in summary.names {
            for resource in Resource.namedByAgents {
                group.events.append(RoutedEvents.Entry(name, resource: resource, hostHash: hash))
            }
        }
        entry.isLastBatch = summary.isLastBatch
        group.entries.append(entry)
    }
}
