package import TraceModel

/// Decides what an owner of the replicated log sends, and when its bytes are safe there. A value without connection,
/// clock or thread: `Replication` carries out its actions, and so does the simulator.
///
///      streaming ──lost or refused──▶ settling ──refused──▶ reading ──later epoch──▶ ended
///        ▲  ▲                          │   ▲                │   │
///        │  └──────────stored──────────┘   └───not found────┘   │
///        └──────────found, or an older epoch's stands there─────┘
///
/// The first message is the takeover; ranges can be appended once it is stored. While streaming, several messages are
/// under way. As soon as one of them is refused or overdue, nothing more is sent until the outcome of each is known or
/// overdue. Then the first that is not stored is settled: it is sent again, alone, and only then the others. Times are
/// monotonic nanoseconds.
package struct ReplicationPlan {
    /// The next action.
    package enum Action: Equatable {
        /// Send this message, then call `next` again.
        case send(Message, ticket: UInt64)
        /// Read the message at this position, and call `found` or `notFound`.
        case read(ReplicaPosition)
        /// Wait for an outcome until then at the latest; nil: until there is something new to append.
        case wait(until: Int64?)
        /// Nothing more is sent; the state does not change any more.
        case end(Ending)
    }

    /// A message that is not known to be stored.
    package struct Message: Equatable {
        package fileprivate(set) var position: ReplicaPosition
        package let header: ReplicaHeader
        package let byteCount: Int
    }

    /// Why the log is not this owner's.
    package enum Ending: Equatable {
        /// The takeover came too late: read on from there, and take over again.
        case overtaken(at: ReplicaPosition)
        /// Another owner has taken over.
        case fenced(ReplicaHeader)
        /// A message stands where no owner can have put it.
        case inconsistent(at: ReplicaPosition)
    }

    /// Messages under way at the same time. Part of the format of the replicated log.
    package static let messagesInFlightMax = 8
    /// Bytes under way at the same time, unless it is one message.
    static let bytesInFlightMax = 8 << 20
    /// Time after which the outcome of a message counts as unknown.
    package static let outcomeNanoseconds: Int64 = 2_000_000_000
    /// Pause before a message is sent or read again, so that servers that elect a leader are not flooded.
    static let pauseNanoseconds: Int64 = 50_000_000

    /// The states of the diagram above.
    private enum State {
        case streaming
        case settling(at: Int64)
        case reading(at: Int64)
        case ended(Ending)
    }

    /// What is known of a message.
    private enum Progress: Equatable {
        case unsent
        case inFlight(ticket: UInt64, until: Int64)
        /// Sent, and perhaps stored.
        case unknown
        case stored
    }

    /// A message and what is known of it.
    private struct Entry {
        var message: Message
        var progress: Progress
    }

    package let epoch: UInt64
    /// Everything below is stored.
    package private(set) var safe: LSN
    /// Position of the takeover.
    package let takeover: ReplicaPosition
    /// Why the last message is not stored; nil while messages are.
    package private(set) var problem: String?
    private var state = State.streaming
    /// The messages that are not safe, in their order.
    private var entries: [Entry] = []
    private var nextTicket: UInt64 = 1
    /// Positions of stored ranges and their LSNs, one for each `markBytes`, for trimming.
    private var marks: [(position: ReplicaPosition, lsn: LSN)] = []
    private let markBytes: LSN
    private var nextMark: LSN
    private let faults: ReplicationFaults

    /// Begins with the takeover of a log that has `content`, of which the owner keeps what is below `end`.
    package init(
        after content: ReplicaContent,
        keeping end: LSN,
        owner: ReplicaOwner,
        markBytes: LSN = 64 << 20,
        faults: ReplicationFaults = []
    ) {
        epoch = content.epoch + 1
        self.markBytes = markBytes
        nextMark = end + markBytes
        safe = end
        takeover = content.next
        nextPosition = content.next + 1
        self.faults = faults
        let header = ReplicaHeader(epoch: epoch, lsn: end, owner: owner)
        let message = Message(position: content.next, header: header, byteCount: 0)
        entries = [Entry(message: message, progress: .unsent)]
    }

    /// Whether the log is this owner's, as far as it knows.
    package var isOwner: Bool {
        !isEnded && entries.first?.message.header.owner == nil
    }

    /// Bytes that are not safe.
    package var waitingBytes: Int { entries.reduce(0) { $0 + $1.message.byteCount } }

    /// Appends the range behind the last one; only while `isOwner`.
    package mutating func append(lsn: LSN, byteCount: Int) {
        precondition(isOwner && byteCount > 0, "a range goes to a log that is owned")
        let position = entries.last.map { $0.message.position + 1 } ?? nextPosition
        let header = ReplicaHeader(epoch: epoch, lsn: lsn)
        let message = Message(position: position, header: header, byteCount: byteCount)
        entries.append(Entry(message: message, progress: .unsent))
    }

    /// Position of the next message if none is waiting.
    package private(set) var nextPosition: ReplicaPosition

    /// Returns the position below which the log can be trimmed, where nothing below `lsn` is needed. Nil if there is none
    /// that is worth it. A trimmed log begins with a range of this owner, so that no former owner's message can be taken for its begin.
    package mutating func trimmable(below lsn: LSN) -> ReplicaPosition? {
        guard let last = marks.lastIndex(where: { $0.lsn <= lsn }) else { return nil }
        defer { marks.removeFirst(last + 1) }
        return marks[last].position
    }

    // MARK: Actions

    /// Returns the next action.
    package mutating func next(now: Int64) -> Action {
        expire(now: now)
        switch state {
        case .ended(let ending): return .end(ending)
        case .streaming: return stream(now: now)
        case .settling(let time): return settle(at: time, now: now)
        case .reading(let time):
            guard now >= time else { return .wait(until: time) }
            return .read(entries[0].message.position)
        }
    }

    /// Marks messages whose outcome is overdue.
    private mutating func expire(now: Int64) {
        var isOverdue = false
        for index in entries.indices {
            guard case .inFlight(_, let until) = entries[index].progress, until <= now else {
                continue
            }
            entries[index].progress = .unknown
            isOverdue = true
        }
        guard isOverdue else { return }
        problem = problem ?? "a message was not acknowledged in time"
        settleFirst(at: now)
    }

    private mutating func stream(now: Int64) -> Action {
        var messages = 0
        var bytes = 0
        var first: Int64?
        for index in entries.indices {
            let count = entries[index].message.byteCount
            switch entries[index].progress {
            case .stored, .unknown: continue
            case .inFlight(_, let until):
                messages += 1
                bytes += count
                first = min(first ?? until, until)
            case .unsent:
                let position = entries[0].message.position
                let isAlone = mayMeetOthers(position) && !faults.contains(.pipelinedAtOnce)
                guard messages < (isAlone ? 1 : Self.messagesInFlightMax),
                    messages == 0 || bytes + count <= Self.bytesInFlightMax,
                    entries[index].message.position < position + LSN(Self.messagesInFlightMax)
                else { return .wait(until: first) }
                return send(index, now: now)
            }
        }
        return .wait(until: first)
    }

    /// Whether a message of a former owner may still take this position.
    private func mayMeetOthers(_ position: ReplicaPosition) -> Bool {
        position < takeover + ReplicaPosition(Self.messagesInFlightMax)
    }

    private mutating func send(_ index: Int, now: Int64) -> Action {
        let ticket = nextTicket
        nextTicket += 1
        entries[index].progress = .inFlight(ticket: ticket, until: now + Self.outcomeNanoseconds)
        return .send(entries[index].message, ticket: ticket)
    }

    private mutating func settle(at time: Int64, now: Int64) -> Action {
        let first = entries.lazy.compactMap { entry -> Int64? in
            guard case .inFlight(_, let until) = entry.progress else { return nil }
            return until
        }.min()
        if let first { return .wait(until: first) }
        guard now >= time else { return .wait(until: time) }
        return send(0, now: now)
    }

    /// Sends nothing but the first message until it is stored.
    private mutating func settleFirst(at time: Int64) {
        if !isEnded { state = .settling(at: time) }
    }

    // MARK: Outcomes

    /// Notes an outcome. Those of earlier attempts may come late.
    package mutating func report(_ outcome: AppendOutcome, ticket: UInt64, now: Int64) {
        let index = entries.firstIndex { entry in
            guard case .inFlight(ticket, _) = entry.progress else { return false }
            return true
        }
        guard let index else { return }
        switch outcome {
        case .stored(let position): stored(index, position)
        case .refused:
            entries[index].progress = .unknown
            // Others are refused because one before them is missing.
            if index > 0 || areOthersSent {
                settleFirst(at: now)
            } else if !isEnded {
                state = .reading(at: now)
            }
        case .unknown(let text):
            entries[index].progress = .unknown
            problem = text
            settleFirst(at: now + Self.pauseNanoseconds)
        }
    }

    private var isEnded: Bool {
        if case .ended = state { true } else { false }
    }

    /// Whether messages behind the first one are under way.
    private var areOthersSent: Bool {
        entries.dropFirst().contains {
            if case .inFlight = $0.progress { true } else { false }
        }
    }

    private mutating func stored(_ index: Int, _ position: ReplicaPosition) {
        guard position == entries[index].message.position else {
            state = .ended(.inconsistent(at: position))
            return
        }
        entries[index].progress = .stored
        guard index == 0 || faults.contains(.safeInAnyOrder) else { return }
        firstIsStored()
    }

    /// Removes the messages that are stored up to the first one that is not, and goes on with the others.
    private mutating func firstIsStored() {
        var count = 0
        while count < entries.count, entries[count].progress == .stored { count += 1 }
        if faults.contains(.safeInAnyOrder),
            let last = entries.lastIndex(where: { $0.progress == .stored })
        {
            count = last + 1
        }
        let last = entries[count - 1].message
        safe = max(safe, last.header.lsn + LSN(last.byteCount))
        nextPosition = last.position + 1
        if last.header.owner == nil, last.header.lsn >= nextMark {
            marks.append((last.position, last.header.lsn))
            nextMark = last.header.lsn + markBytes
        }
        entries.removeFirst(count)
        problem = nil
        // They may be stored already. The servers know their identifiers, or refuse the positions.
        for index in entries.indices where entries[index].progress == .unknown {
            entries[index].progress = .unsent
        }
        if !isEnded { state = .streaming }
    }

    // MARK: What stands at a position

    /// Notes which message stands at the position of the first one, which was refused.
    package mutating func found(_ header: ReplicaHeader, now: Int64) {
        guard case .reading = state, let first = entries.first?.message else { return }
        if header == first.header {
            entries[0].progress = .stored
            firstIsStored()
        } else if first.header.owner != nil {
            state = .ended(.overtaken(at: first.position))
        } else if header.epoch > epoch {
            state = .ended(.fenced(header))
        } else if header.epoch < epoch, mayMeetOthers(first.position) {
            // Nothing behind it is under way, as messages are sent one by one here.
            for index in entries.indices {
                entries[index].message.position += 1
                entries[index].progress = .unsent
            }
            state = .streaming
        } else {
            state = .ended(.inconsistent(at: first.position))
        }
    }

    /// Notes that no message was found at the position of the first one, although it was refused. The server that was asked
    /// does not answer, is behind, or has lost something.
    package mutating func notFound(_ reason: String, now: Int64) {
        guard case .reading = state else { return }
        problem = reason
        settleFirst(at: now + Self.pauseNanoseconds)
    }
}

/// Mistakes that the simulation plants here, to show that it finds them.
package struct ReplicationFaults: OptionSet, Sendable {
    package let rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Several messages are under way where those of a former owner may still come.
    package static let pipelinedAtOnce = ReplicationFaults(rawValue: 1 << 0)
    /// A message counts as safe although one before it is not stored.
    package static let safeInAnyOrder = ReplicationFaults(rawValue: 1 << 1)
}
