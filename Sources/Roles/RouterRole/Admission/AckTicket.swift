import GRPCServices
import GRPCTransport
import TraceModel

/// The answer owed to the sender of a batch, sent once its commit group is durable. A refusal is sent at that point
/// too, so that a stream's answers keep the order of its batches.
struct AckTicket: Sendable {
    /// The call that is answered.
    enum Sender: Sendable {
        case unary(GRPCUnaryCall)
        case stream(BatchStream)
        /// A call in the simulator, which answers it itself.
        case simulated(Int)
    }

    let sender: Sender
    let outcome: BatchAdmission.Outcome
    /// Size of the message in bytes, returned to the stream's budget with the answer.
    let bytes: Int
    /// Time when the message was complete; monotonic nanoseconds.
    let arrival: Int64

    /// How long the call is held if its group cannot be made durable.
    var hold: CallHold { CallHold(arrival: arrival) }

    /// Returns the ticket as refused if it is a duplicate of a batch with one of these sequences; otherwise nil.
    func refusedIfDuplicate(of sequences: Set<UInt64>, _ error: TraceError) -> AckTicket? {
        guard case .duplicate(_, let sequence) = outcome, sequences.contains(sequence) else {
            return nil
        }
        return refused(error)
    }

    /// Returns a ticket of the same sender that refuses the batch.
    func refused(_ error: TraceError) -> AckTicket {
        AckTicket(
            sender: sender,
            outcome: .refused(error, events: outcome.events, sequence: outcome.sequence),
            bytes: bytes,
            arrival: arrival
        )
    }

    /// Whether the batch is in the group.
    var isAccepted: Bool { if case .accepted = outcome { true } else { false } }

    /// The stream that ends if this batch is refused for lack of space; nil if the sender is not a
    /// stream, or the batch is refused already.
    var endingStream: ObjectIdentifier? {
        guard case .stream(let stream) = sender else { return nil }
        if case .refused = outcome { return nil }
        return ObjectIdentifier(stream)
    }

    /// Answers the senders of a durable group.
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

    /// Refuses the batch, because its group could not be made durable. A batch that was refused before keeps its own
    /// reason.
    func cancel(_ error: TraceError) {
        if case .refused = outcome { return Self.pay([self]) }
        switch sender {
        case .unary(let call): call.fail(error.status, error.description, trailers: error.trailers)
        case .stream(let stream): stream.fail(error)
        case .simulated: break
        }
    }
}

/// The encoded answer for a number of events, cached because agents send many batches of the same size in a row.
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

/// Bounds how long a call is held in total: in the ingest queue, in its commit group, and waiting for disk space. A
/// value; monotonic nanoseconds.
struct CallHold: Equatable, Sendable {
    static let nanoseconds = Int64(Limits.callHoldSeconds) * 1_000_000_000

    /// The time from which on the call is refused rather than held.
    let end: Int64

    /// `arrival` is the time when the message was complete.
    init(arrival: Int64) { end = arrival + Self.nanoseconds }

    func isOver(at now: Int64) -> Bool { now >= end }
}
