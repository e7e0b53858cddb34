internal import CGRPC
internal import Synchronization
internal import SystemIO

/// A unary call on the server, to be answered exactly once, from any thread. One let go without an
/// answer is cancelled.
@safe
package final class GRPCUnaryCall: CompletionOwner, GateEntrant, @unchecked Sendable {
    private enum Phase: UInt8 {
        case waiting
        case receiving
        /// With the handler, whose answer is due.
        case handed
        case answered
    }

    private let server: GRPCServer
    private let gate: ReceiveGate
    private let method: Int
    private let call: CallHandle
    private let cells: UnsafeMutablePointer<trace_grpc_cells>
    private let phase: Atomic<UInt8>
    /// Set before the hand-over, read by the answer.
    private var heldBytes = 0
    /// When the call came, monotonic ns.
    private let opened = WallClock.monotonic()
    /// How long (ns) it waited for its turn to be received. Set before the receive starts.
    package private(set) var waitedNanoseconds: Int64 = 0

    init(server: GRPCServer, gate: ReceiveGate, method: Int, call: consuming CallHandle) {
        self.server = server
        self.gate = gate
        self.method = method
        unsafe cells = trace_grpc_cells_create(call.pointer)
        self.call = call
        phase = Atomic(Phase.waiting.rawValue)
    }

    deinit {
        if phase.load(ordering: .acquiring) == Phase.handed.rawValue { server.giveBack(heldBytes) }
    }

    /// The other side: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`. Allocates.
    package var peer: String { call.peer(server.peers) }

    /// True where the client came over a Unix socket, which only this machine's users can.
    package var isLocalSocket: Bool { PeerAddress.isLocalSocket(peer) }

    /// Answers OK with a message; copies it.
    package func reply(_ bytes: UnsafeRawBufferPointer) {
        if unsafe server.withheld.keep(self, bytes) { return }
        unsafe answer(from: .handed) { cells, tag in
            // An empty message is a message too: the address only must not be null.
            unsafe trace_grpc_answer(
                call.pointer,
                bytes.baseAddress ?? UnsafeRawPointer(cells),
                bytes.count,
                GRPC_STATUS_OK,
                nil,
                0,
                nil,
                0,
                &cells.pointee.cancelled,
                tag,
                nil
            )
        }
    }

    /// Answers OK with a message.
    package func reply(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe reply($0) }
    }

    /// Answers OK with a message, within the core's context that an `AnswerRow` makes.
    func reply(inCore bytes: [UInt8]) {
        if unsafe bytes.withUnsafeBytes({ unsafe server.withheld.keep(self, $0) }) { return }
        guard leave(.handed), server.queue.begin() else { return }
        unsafe cells.pointee.answered.context = Unmanaged.passRetained(self).toOpaque()
        unsafe cells.pointee.answered.run = { context, _ in
            guard let context = unsafe context else { return }
            unsafe GRPCUnaryCall.answered(Unmanaged.fromOpaque(context))
        }
        let error = unsafe bytes.withUnsafeBytes { bytes in
            unsafe trace_grpc_answer(
                call.pointer,
                bytes.baseAddress ?? UnsafeRawPointer(cells),
                bytes.count,
                GRPC_STATUS_OK,
                nil,
                0,
                nil,
                0,
                &cells.pointee.cancelled,
                nil,
                &cells.pointee.answered
            )
        }
        if error != GRPC_CALL_OK { unsafe Self.answered(Unmanaged.passUnretained(self)) }
    }

    /// On whatever thread the core is then. The call goes first: with the last one the server may go too.
    private static func answered(_ call: Unmanaged<GRPCUnaryCall>) {
        let queue = unsafe call._withUnsafeGuaranteedRef { $0.server.queue }
        unsafe call.release()
        queue.end()
    }

    /// Answers with an error.
    package func fail(_ status: GRPCStatus, _ message: String, trailers: [GRPCTrailer] = []) {
        precondition(status != .ok)
        fail(from: .handed, Answer(status: status, message: message, trailers: trailers))
    }

    // MARK: Before the handler

    /// Ends a call that has asked for nothing the server offers, or more than it can bear.
    func refuse(_ answer: Answer, _ reason: GRPCRefusal?) {
        fail(from: .waiting, answer, refusal: reason)
    }

    func arm() -> Bool {
        guard move(from: .waiting, to: .receiving) else { return false }
        waitedNanoseconds = WallClock.monotonic() - opened
        return unsafe server.queue.start(self, .receive) { tag in
            unsafe trace_grpc_receive_message(call.pointer, &cells.pointee.message, tag)
        }
    }

    func expire(armed: Bool) {
        if armed {
            let answer = Answer(
                status: .deadlineExceeded,
                message: "the message did not arrive in time",
                trailers: []
            )
            fail(from: .receiving, answer, refusal: .receiveTimeout)
        } else {
            refuse(server.exhausted("too many calls at once"), .queueTimeout)
        }
    }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        guard operation == .receive else { return }
        let buffer = unsafe cells.pointee.message
        unsafe cells.pointee.message = nil
        let count = unsafe buffer.map { unsafe grpc_byte_buffer_length($0) } ?? 0
        // Counted before the turn goes on, so that both bounds hold at any moment.
        heldBytes = count
        server.held.take(count)
        gate.leave(self)
        guard let buffer = unsafe buffer else { return receivedNothing(success: success) }
        let message = unsafe ReceivedMessage(takingOwnership: buffer)
        guard success, move(from: .receiving, to: .handed) else {
            server.giveBack(count)
            return
        }
        server.handler.unary(self, method: method, message: message)
    }

    private func receivedNothing(success: Bool) {
        let answer = Answer(
            status: .invalidArgument,
            message: "the call carries no message",
            trailers: []
        )
        if !success || call.failedBeforeMessage {
            guard move(from: .receiving, to: .answered) else { return }
            server.handler.refused(method: method, reason: .notReceived)
        } else {
            fail(from: .receiving, answer, refusal: .noMessage)
        }
    }

    // MARK: The answer

    private func fail(from expected: Phase, _ reason: Answer, refusal: GRPCRefusal? = nil) {
        unsafe answer(from: expected, refusal: refusal) { cells, tag in
            unsafe reason.withC { text, pairs, pairCount in
                unsafe trace_grpc_answer(
                    call.pointer,
                    nil,
                    0,
                    grpc_status_code(reason.status.rawValue),
                    text.baseAddress?.assumingMemoryBound(to: CChar.self),
                    text.count,
                    pairs,
                    pairCount,
                    &cells.pointee.cancelled,
                    tag,
                    nil
                )
            }
        }
    }

    /// Does nothing where the call is past that phase already.
    private func answer(
        from expected: Phase,
        refusal: GRPCRefusal? = nil,
        _ body: (UnsafeMutablePointer<trace_grpc_cells>, UnsafeMutableRawPointer) -> grpc_call_error
    ) {
        guard leave(expected) else { return }
        if let refusal { server.handler.refused(method: method, reason: refusal) }
        // Where it cannot start, the client or the server is gone, and with them who would read it.
        _ = unsafe server.queue.start(self, .answer) { unsafe body(cells, $0) }
    }

    /// From the phase in which it can be answered to the one behind. False where it is past that already.
    private func leave(_ expected: Phase) -> Bool {
        guard move(from: expected, to: .answered) else {
            precondition(expected != .handed, "a unary call is answered once")
            return false
        }
        // Counted first, so that who has the answer finds the counts right.
        if expected == .handed { server.giveBack(heldBytes) }
        return true
    }

    private func move(from: Phase, to: Phase) -> Bool {
        phase.compareExchange(
            expected: from.rawValue,
            desired: to.rawValue,
            ordering: .acquiringAndReleasing
        ).exchanged
    }
}
