import LogReplica
import TestSupport
import TraceModel

/// What a cluster of servers stores, and what is under way to and from it: requests are late, lost or doubled, a leader's
/// last messages are lost when another one is elected, answers are late, lost or overtake one another.
final class SimulatedStream {
    /// A message on its way, or its answer.
    private struct Delivery {
        let time: Int64
        let body: () -> Void
    }

    static let millisecond: Int64 = 1_000_000

    var random: SeededGenerator
    /// Percentage of requests and answers that go wrong.
    var faultPercent = 10
    /// How long identifiers are known.
    let duplicateNanoseconds: Int64
    private(set) var now: Int64 = 0
    /// What a quorum stores.
    private(set) var messages: [ReplicaMessage] = []
    private(set) var first: ReplicaPosition = 1
    /// What the leader has proposed to the others.
    private var proposed: [(message: ReplicaMessage, answer: (AppendOutcome) -> Void)] = []
    private var known: [String: (position: ReplicaPosition, until: Int64)] = [:]
    private var deliveries: [Delivery] = []
    private var leaderlessUntil: Int64 = 0

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        let milliseconds: Int64 = [0, 1_000, 100_000].randomElement(using: &random) ?? 0
        duplicateNanoseconds = milliseconds * Self.millisecond
    }

    var last: ReplicaPosition { first + ReplicaPosition(messages.count) - 1 }

    func happens(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private var isFaulty: Bool { happens(faultPercent) }

    /// Calls `body` after a random time; if it goes wrong, much later, twice or never.
    func deliver(_ body: @escaping () -> Void) {
        guard isFaulty else { return schedule(0...20, body) }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return
        case 1: schedule(0...20, body)
        case 2: schedule(20...3_000, body)
        default: break
        }
        schedule(20...60_000, body)
    }

    private func schedule(_ milliseconds: ClosedRange<Int64>, _ body: @escaping () -> Void) {
        let time = now + Int64.random(in: milliseconds, using: &random) * Self.millisecond
        deliveries.append(Delivery(time: time, body: body))
    }

    /// Lets time pass and what is due happen.
    func advance(_ milliseconds: Int64) {
        now += milliseconds * Self.millisecond
        let due = deliveries.filter { $0.time <= now }.sorted { $0.time < $1.time }
        deliveries.removeAll { $0.time <= now }
        for delivery in due {
            delivery.body()
            if happens(70) { commit(proposed.count) }
        }
        if happens(faultPercent / 5) { elect() }
        commit(proposed.count)
    }

    /// Removes the oldest messages.
    func trim(below position: ReplicaPosition) {
        let count = min(Int(max(position, first) - first), messages.count)
        messages.removeFirst(count)
        first += ReplicaPosition(count)
    }

    // MARK: The leader

    /// Another server leads. Of what its predecessor proposed, a part is stored; who has sent it does not learn that.
    private func elect() {
        let kept = Int.random(in: 0...proposed.count, using: &random)
        for proposal in proposed[..<kept] { store(proposal.message) }
        proposed.removeAll()
        leaderlessUntil = now + Int64.random(in: 0...9_000, using: &random) * Self.millisecond
    }

    private func commit(_ count: Int) {
        for proposal in proposed[..<count] {
            store(proposal.message)
            proposal.answer(.stored(proposal.message.position))
        }
        proposed.removeFirst(count)
    }

    private func store(_ message: ReplicaMessage) {
        precondition(message.position == last + 1)
        messages.append(message)
        known[message.header.messageID] = (message.position, now + duplicateNanoseconds)
    }

    /// What the leader does with a message.
    func receive(
        _ header: ReplicaHeader,
        _ bytes: [UInt8],
        at position: ReplicaPosition,
        _ answer: @escaping (AppendOutcome) -> Void
    ) {
        guard now >= leaderlessUntil else { return answer(.unknown("no leader")) }
        if let entry = known[header.messageID], entry.until > now {
            return answer(.stored(entry.position))
        }
        if proposed.contains(where: { $0.message.header.messageID == header.messageID }) {
            return answer(.unknown("in process"))
        }
        guard position == last + ReplicaPosition(proposed.count) + 1 else {
            return answer(.refused)
        }
        proposed.append((ReplicaMessage(position: position, header: header, bytes: bytes), answer))
    }

    /// Returns a stored message; nil where it is not known to the server that answers.
    func message(at position: ReplicaPosition) -> ReplicaMessage? {
        guard position >= first, position <= last, !isFaulty else { return nil }
        return messages[Int(position - first)]
    }
}

/// One owner's connection to a `SimulatedStream`.
final class SimulatedReplica: ReplicatedLog {
    let rangeBytesMax = 16
    private let stream: SimulatedStream
    private var outcomes: [(ticket: UInt64, outcome: AppendOutcome)] = []

    init(_ stream: SimulatedStream) { self.stream = stream }

    func append(
        _ header: ReplicaHeader,
        _ bytes: UnsafeRawBufferPointer,
        at position: ReplicaPosition,
        ticket: UInt64
    ) {
        let bytes = Array(bytes)
        stream.deliver { [stream, weak self] in
            stream.receive(header, bytes, at: position) { outcome in
                stream.deliver { self?.outcomes.append((ticket, outcome)) }
            }
        }
    }

    func outcome(milliseconds: Int64) -> (ticket: UInt64, outcome: AppendOutcome)? {
        outcomes.isEmpty ? nil : outcomes.removeFirst()
    }

    func span() throws(ReplicaError) -> ReplicaSpan {
        ReplicaSpan(first: stream.first, last: stream.last)
    }

    func read(_ position: ReplicaPosition) throws(ReplicaError) -> ReplicaMessage? {
        guard !stream.happens(stream.faultPercent / 2) else { throw .unavailable("no answer") }
        return stream.message(at: position)
    }

    func trim(below position: ReplicaPosition) throws(ReplicaError) {
        stream.trim(below: position)
    }
}
