import GRPCTransport
import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// The hosts whose events a client may send.
enum HostIdentity: Sendable, Equatable {
    case any
    /// The one that the client's certificate names.
    case named(String)
    /// None, as the client has shown no certificate.
    case unknown

    /// Returns why a batch with the events of `host` is refused; nil if it is not. An empty host is the client's own.
    func objection(to host: ByteView) -> String? {
        switch self {
        case .any: return nil
        case .named(let name):
            guard !host.isEmpty, unsafe !host.buffer.elementsEqual(name.utf8) else { return nil }
            return
                "host \"\(host.string)\" is not the name in the client's certificate, \"\(name)\""
        case .unknown: return "the client has shown no certificate that names its host"
        }
    }
}

/// Takes one received message into the open commit group: copies its bytes once, scans the copy in place, and checks
/// whether the batch is new.
struct BatchAdmission: ~Copyable {
    /// The result of an admission.
    enum Outcome: Sendable {
        /// The batch is in the group, and is acknowledged when the group is durable.
        case accepted(events: Int, sequence: UInt64)
        /// The batch was received before. It is acknowledged when everything received before it is durable.
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
    /// Meaning of the fields of a batch that does not declare it.
    private let defaultSemantics: Semantics

    init(defaultSemantics: Semantics = .neutracer) { self.defaultSemantics = defaultSemantics }

    /// Admits a batch to the group. `peerHost` is the host of a batch that names none, unless `identity` names one. `verdict` queries the
    /// de-duplication window, and remembers a new batch there; it is called only for a batch that has a key and is
    /// otherwise valid.
    mutating func admit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        identity: HostIdentity = .any,
        into group: CommitGroup,
        verdict: (CommitGroup.DedupKey) -> DedupWindow.Verdict
    ) -> Outcome {
        let arrival = WallClock.now()
        let body = unsafe group.log.append(.batch, arrival: arrival, bodyBytes: message.count)
        unsafe message.copy(to: body)
        let batch = unsafe UnsafeRawBufferPointer(start: body, count: message.count)
        let summary: BatchSummary
        do throws(WireError) { summary = try unsafe BatchScanner.scan(batch, into: &index) } catch {
            let events = unsafe BatchScanner.countEvents(batch)
            unsafe group.log.discardLast()
            return .refused(error.traceError, events: events, sequence: 0)
        }
        if let objection = identity.objection(to: summary.host) {
            let events = summary.total
            unsafe group.log.discardLast()
            return .refused(
                TraceError(.denied, objection),
                events: events,
                sequence: summary.sequence
            )
        }
        let outcome = unsafe check(summary, batch: batch, group: group, verdict: verdict)
        guard case .accepted = outcome else {
            unsafe group.log.discardLast()
            return outcome
        }
        let host: [UInt8]
        if !summary.host.isEmpty {
            host = unsafe Array(summary.host.buffer)
        } else if case .named(let name) = identity {
            host = Array(name.utf8)
        } else {
            host = peerHost
        }
        route(summary, host: host, group: group)
        unsafe host.withUnsafeBytes { unsafe group.log.setHost($0) }
        unsafe group.log.setSemantics(summary.semantics ?? defaultSemantics)
        return outcome
    }

    /// Checks the batch as a whole, and whether it was received before.
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
        // Refused rather than repaired: repair could map two hosts to the same name, with processes in the slots of
        // both.
        guard unsafe String(validating: summary.host.buffer, as: UTF8.self) != nil else {
            return refused("host: no valid UTF-8")
        }
        var entry = CommitGroup.Entry()
        if summary.hasSequence {
            let key = unsafe CommitGroup.DedupKey(
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

    /// Adds the position and slot of each event and name to the group.
    private func route(_ summary: BatchSummary, host: [UInt8], group: CommitGroup) {
        var entry = group.entries.removeLast()
        entry.firstEvent = unsafe group.events.count
        entry.eventCount = index.count + summary.names.count * Resource.namedByAgents.count
        for resource in Resource.allCases {
            entry.accepted[Int(resource.rawValue)] = UInt32(summary.count(of: resource))
        }
        let hash = unsafe host.withUnsafeBytes { unsafe Slot.hash(host: $0) }
        for position in 0..<index.count {
            let event = index[position]
            entry.wireBytes[Int(event.resource.rawValue)] += Int(event.length)
            unsafe group.events.append(RoutedEvents.Entry(event, hostHash: hash))
        }
        for name in summary.names {
            for resource in Resource.namedByAgents {
                unsafe group.events.append(
                    RoutedEvents.Entry(name, resource: resource, hostHash: hash)
                )
            }
        }
        entry.isLastBatch = summary.isLastBatch
        group.entries.append(entry)
    }
}
