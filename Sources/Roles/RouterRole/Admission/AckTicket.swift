import GRPCServices
import GRPCTransport
import TraceModel

/// What is owed to the sender of a batch: paid once its commit group is durable. A refusal is paid there
/// too, so that a stream's answers keep the order of its batches.
struct AckTicket: Sendable {
    enum Sender: Sendable {
        case unary(GRPCUnaryCall)
        case stream(BatchStream)
        /// A call of the simulator's, which answers it itself.
        case simulated(Int)
    }

    let sender: Sender
    let outcome: BatchAdmission.Outcome
    /// The message's size, given back to the stream's budget with the answer.
    let bytes: Int
    /// When the message was there, on the monotonic clock.
    let arrival: Int64

    /// How long its call is held, where its group cannot be made durable.
    var hold: CallHold { CallHold(arrival: arrival) }

    /// Where this is a duplicate of a batch of one of these sequences, the same as a refusal.
    func refusedIfDuplicate(of sequences: Set<UInt64>, _ error: TraceError) -> AckTicket? {
        guard case .duplicate(_, let sequence) = outcome, sequences.contains(sequence) else {
            return nil
        }
        return refused(error)
    }

    /// The same sender, refused.
    func refused(_ error: TraceError) -> AckTicket {
        AckTicket(
            sender: sender,
            outcome: .refused(error, events: outcome.events, sequence: outcome.sequence),
            bytes: bytes,
            arrival: arrival
        )
    }

    /// Whether its batch stands in the group.
    var isAccepted: Bool { if case .accepted = outcome { true } else { false } }

    /// The stream that ends where this batch is refused for want of room; nil where none does.
    var endingStream: ObjectIdentifier? {
        guard case .stream(let stream) = sender else { return nil }
        if case .refused = outcome { return nil }
        return ObjectIdentifier(stream)
    }

    /// Their group is durable.
    static func pay(_ tickets: [AckTicket]) {
        AnswerBatch.send { row in
            var stored = StoredAnswer()
            for ticket in tickets { ticket.pay(&stored, row) }
        }
    }

    private func pay(_ stored: inout StoredAnswer, _ row: borrowing AnswerBatch) {
        switch (sender, outcome) {
        case (.unary(let call), .accepted(let events, _)):
            row.reply(to: call, stored.bytes(events: events))
        case (.unary(let call), .duplicate(let events, _)):
            let message = "\(events) events were stored before"
            row.reply(to: call, TraceResponse(success: true, message: message).encoded())
        case (.stream(let stream), .accepted(let events, let sequence)),
            (.stream(let stream), .duplicate(let events, let sequence)):
            stream.acknowledge(sequence: sequence, events: events, bytes: bytes)
        case (.unary(let call), .refused(let error, _, _)):
            call.fail(error.status, error.description, trailers: error.trailers)
        case (.stream(let stream), .refused(let error, _, let sequence)):
            stream.refuse(sequence: sequence, error, bytes: bytes)
        case (.simulated, _): break
        }
    }

    /// The group could not be made durable; what was refused before stays refused for its own reason.
    func cancel(_ error: TraceError) {
        if case .refused = outcome { return Self.pay([self]) }
        switch sender {
        case .unary(let call): call.fail(error.status, error.description, trailers: error.trailers)
        case .stream(let stream): stream.fail(error)
        case .simulated: break
        }
    }
}

/// The answer for so many events, made once for a row of batches of one size, as agents send them.
private struct StoredAnswer {
    private var events = -1
    private var encoded: [UInt8] = []

    mutating func bytes(events: Int) -> [UInt8] {
        if events != self.events {
            self.events = events
            encoded = TraceResponse(success: true, message: "\(events) events stored").encoded()
        }
        return encoded
    }
}

/// How long a call is held at most, whichever places it waits in one after another: in the ingest queue, in its commit
/// group, for room on the disk. A value; monotonic nanoseconds.
struct CallHold: Equatable, Sendable {
    static let nanoseconds = Int64(Limits.callHoldSeconds) * 1_000_000_000

    /// From here on the call is refused rather than held.
    let end: Int64

    /// `arrival`: when the message was there.
    init(arrival: Int64) { end = arrival + Self.nanoseconds }

    func isOver(at now: Int64) -> Bool { now >= end }
}
