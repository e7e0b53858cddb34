internal import CGRPC
internal import Synchronization
internal import SystemIO

/// Owner of one call of the C core. Releasing a call that is still open cancels it.
@safe struct CallHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer

    init(takingOwnership pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe grpc_call_unref(pointer) }

    /// Descriptor of the connection if `ConnectionAcceptor` passed it to the core, else -1.
    var descriptor: Int32 {
        guard let text = unsafe grpc_call_get_peer(pointer) else { return -1 }
        defer { unsafe gpr_free(text) }
        return unsafe trace_grpc_peer_descriptor(text)
    }

    /// Returns the client's address: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`. `descriptor` is this call's.
    func peer(_ descriptor: Int32, _ peers: PeerTable) -> String {
        if descriptor >= 0 { return peers.peer(of: descriptor) ?? "" }
        guard let text = unsafe grpc_call_get_peer(pointer) else { return "" }
        defer { unsafe gpr_free(text) }
        // The core writes addresses as URIs with the brackets of IPv6 percent-encoded.
        return unsafe PeerAddress.decoded(String(cString: text))
    }

    /// Cancels the call. Any thread, idempotent.
    func cancel() { unsafe grpc_call_cancel(pointer, nil) }

    /// Whether a receive without a message means a broken call instead of the end of a stream.
    var failedBeforeMessage: Bool { unsafe grpc_call_failed_before_recv_message(pointer) != 0 }
}

/// Memory for one incoming call, armed again after each. Used only by the poller that got its event.
@safe final class RequestSlot: CompletionOwner, @unchecked Sendable {
    @unsafe private struct Cells {
        var call: OpaquePointer?
        var details = unsafe grpc_call_details()
        var metadata = unsafe grpc_metadata_array()
    }

    private let server: GRPCServer
    private let cells = UnsafeMutablePointer<Cells>.allocate(capacity: 1)

    init(server: GRPCServer) {
        self.server = server
        unsafe cells.initialize(to: Cells())
        unsafe grpc_call_details_init(&cells.pointee.details)
        unsafe grpc_metadata_array_init(&cells.pointee.metadata)
    }

    deinit {
        unsafe grpc_call_details_destroy(&cells.pointee.details)
        unsafe grpc_metadata_array_destroy(&cells.pointee.metadata)
        unsafe cells.deinitialize(count: 1)
        unsafe cells.deallocate()
    }

    /// Requests the next call. Returns false once the server's queue is closed.
    func arm() -> Bool {
        let queue = server.queue
        return unsafe queue.start(self, .request) { tag in
            unsafe grpc_server_request_call(
                server.pointer,
                &cells.pointee.call,
                &cells.pointee.details,
                &cells.pointee.metadata,
                queue.pointer,
                queue.pointer,
                tag
            )
        }
    }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        // Without success the server is shutting down and has written nothing to the cells.
        guard success, let pointer = unsafe cells.pointee.call else { return }
        let call = unsafe CallHandle(takingOwnership: pointer)
        let method = unsafe server.methods.index(of: &cells.pointee.details.method)
        // The metadata elements belong to the call; the array is ours and is filled again.
        unsafe cells.pointee.metadata.count = 0
        unsafe cells.pointee.call = nil
        unsafe grpc_call_details_destroy(&cells.pointee.details)
        unsafe grpc_call_details_init(&cells.pointee.details)
        _ = arm()
        server.accept(call, method: method)
    }
}

/// A unary call on the server. It must be answered exactly once, from any thread; releasing it without an answer
/// cancels it.
@safe package final class GRPCUnaryCall: CompletionOwner, @unchecked Sendable {
    private enum Phase: UInt8 {
        case waiting
        case receiving
        /// The handler has it and has to answer.
        case handed
        case answered
    }

    private let server: GRPCServer
    private let method: Int
    private let call: CallHandle
    /// Descriptor of the connection if that is metered, else -1.
    let descriptor: Int32
    private let cells: UnsafeMutablePointer<trace_grpc_cells>
    private let phase: Atomic<UInt8>
    /// Set before the call is passed to the handler, read by the answer.
    private var heldBytes = 0
    /// Index in `ReceivingCalls`. Set before the receive starts, read when it completes.
    private var receivingIndex = 0

    init(server: GRPCServer, method: Int, call: consuming CallHandle, descriptor: Int32) {
        self.server = server
        self.method = method
        self.descriptor = descriptor
        unsafe cells = trace_grpc_cells_create(call.pointer)
        self.call = call
        phase = Atomic(Phase.waiting.rawValue)
    }

    deinit {
        if phase.load(ordering: .acquiring) == Phase.handed.rawValue { server.giveBack(heldBytes) }
    }

    /// Address of the client: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`. Allocates.
    package var peer: String { call.peer(descriptor, server.peers) }

    /// The common name of the client's certificate, as a trusted proxy has verified it; nil if there is none.
    package var certificateName: String? { server.peers.certificateName(of: descriptor) }

    /// Whether the client is connected by a Unix socket, which only users of this machine can be.
    package var isLocalSocket: Bool { PeerAddress.isLocalSocket(peer) }

    /// Answers OK with a message; copies it.
    package func reply(_ bytes: UnsafeRawBufferPointer) {
        if unsafe server.withheld.keep(self, bytes) { return }
        unsafe answer(from: .handed) { cells, tag in
            // An empty message is valid, but its address must not be null.
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
    package func reply(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe reply($0) } }

    /// Answers OK with a message, inside the core context that `AnswerBatch` sets up.
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

    /// Runs on whichever thread the core uses. Releases the call before the queue's count, because the server may go
    /// away with its last call.
    private static func answered(_ call: Unmanaged<GRPCUnaryCall>) {
        let queue = unsafe call._withUnsafeGuaranteedRef { $0.server.queue }
        unsafe call.release()
        queue.end()
    }

    /// Answers with an error status.
    package func fail(_ status: GRPCStatus, _ message: String, trailers: [GRPCTrailer] = []) {
        precondition(status != .ok)
        fail(from: .handed, Answer(status: status, message: message, trailers: trailers))
    }

    // MARK: Before the handler has it

    /// Answers a call with an error before its message is received.
    func refuse(_ answer: Answer, _ reason: GRPCRefusal?) {
        fail(from: .waiting, answer, refusal: reason)
    }

    /// Starts receiving the message. It has `seconds` to arrive, restarted by every byte of its connection if
    /// `isExtended`. Nothing happens if the call is over already.
    func receive(seconds: Double, isExtended: Bool) {
        guard move(from: .waiting, to: .receiving) else { return }
        receivingIndex = server.receiving.enter(
            self,
            now: WallClock.monotonic(),
            nanoseconds: Int64(seconds * 1e9),
            isExtended: isExtended
        )
        let starts = unsafe server.queue.start(self, .receive) { tag in
            unsafe trace_grpc_receive_message(call.pointer, &cells.pointee.message, tag)
        }
        if !starts { server.receiving.leave(receivingIndex) }
    }

    /// Fails the call because its message did not arrive in time.
    func expire() {
        let answer = Answer(
            status: .deadlineExceeded,
            message: "the message did not arrive in time",
            trailers: []
        )
        fail(from: .receiving, answer, refusal: .receiveTimeout)
    }

    /// Fails the call if its message has not arrived yet, to make room for others.
    func evict(_ answer: Answer, _ reason: GRPCRefusal) {
        fail(from: .receiving, answer, refusal: reason)
    }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        guard operation == .receive else { return }
        let buffer = unsafe cells.pointee.message
        unsafe cells.pointee.message = nil
        server.receiving.leave(receivingIndex)
        guard let buffer = unsafe buffer else { return receivedNothing(success: success) }
        let message = unsafe ReceivedMessage(takingOwnership: buffer)
        heldBytes = message.count + server.configuration.callBytes
        server.take(heldBytes)
        guard success, move(from: .receiving, to: .handed) else {
            server.giveBack(heldBytes)
            return
        }
        let isLarge = message.count > server.configuration.smallMessageBytesMax
        server.handler.unary(self, method: method, message: message)
        if isLarge { server.roomFreed() }
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

    /// Sends an answer; does nothing if the call is past phase `expected`.
    private func answer(
        from expected: Phase,
        refusal: GRPCRefusal? = nil,
        _ body: (UnsafeMutablePointer<trace_grpc_cells>, UnsafeMutableRawPointer) -> grpc_call_error
    ) {
        guard leave(expected) else { return }
        if let refusal { server.handler.refused(method: method, reason: refusal) }
        // If it cannot start, the client or the server is gone and nobody reads the answer.
        _ = unsafe server.queue.start(self, .answer) { unsafe body(cells, $0) }
    }

    /// Moves the call from phase `expected` to `answered`. Returns false if it is past that phase.
    private func leave(_ expected: Phase) -> Bool {
        guard move(from: expected, to: .answered) else {
            precondition(expected != .handed, "a unary call was answered twice")
            return false
        }
        // Counted first so that a client that has its answer finds the counters updated.
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
