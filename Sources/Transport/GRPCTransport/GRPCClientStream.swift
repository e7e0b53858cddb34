internal import CGRPC

/// A client's end of a stream. One thread may send while another receives. The owner must receive until the end, or
/// cancel.
package final class GRPCClientStream: CompletionOwner, ClientCall {
    /// Progress of the current receive.
    private enum Receive {
        case idle
        case armed
        case done([UInt8]?)
    }

    /// How the call ended.
    private enum End {
        case ok
        case error(GRPCCallError)
    }

    /// State that the sending and the receiving thread share.
    private struct State {
        var isSending = false
        var isBroken = false
        var receive = Receive.idle
        var end: End?
    }

    private let client: GRPCClient
    private let queue: CompletionQueue
    private let call: CallHandle
    private let cells = ClientCells()
    private let state = Monitor(State())

    init(client: GRPCClient, queue: CompletionQueue, call: consuming CallHandle) {
        self.client = client
        self.queue = queue
        self.call = call
    }

    /// Starts the stream. Returns false if the client is closed.
    func open() -> Bool {
        let isOpen = unsafe queue.start(self, .metadata) { tag in
            unsafe GRPCTrailer.withC(client.headers) { pairs, pairCount in
                unsafe trace_grpc_client_open(call.pointer, pairs, pairCount, cells.pointer, tag)
            }
        }
        guard isOpen else { return false }
        let isWatched = unsafe queue.start(self, .status) { tag in
            unsafe trace_grpc_client_status(call.pointer, cells.pointer, tag)
        }
        if !isWatched { call.cancel() }
        return isWatched
    }

    /// Sends a message. Blocks while the previous one has not been written to the network.
    ///
    /// - Throws: The stream's status if the stream is over.
    package func send(_ bytes: [UInt8]) throws(GRPCCallError) {
        unsafe try startSending(.send) { tag in
            unsafe bytes.withUnsafeBytes { source in
                unsafe trace_grpc_send_message(
                    call.pointer,
                    source.baseAddress,
                    source.count,
                    0,
                    tag
                )
            }
        }
    }

    /// Half-closes the stream: no more messages follow. Blocks as `send` does.
    package func halfClose() throws(GRPCCallError) {
        unsafe try startSending(.halfClose) { unsafe trace_grpc_send_close(call.pointer, $0) }
    }

    /// Receives the next message; blocks until it arrives. Returns nil once the server has ended the stream with OK,
    /// and throws its status for any other end. One thread at a time.
    package func receive() throws(GRPCCallError) -> [UInt8]? {
        let starts = state.update { state in
            state.receive = .armed
            return unsafe queue.start(self, .receive) { tag in
                unsafe trace_grpc_receive_message(call.pointer, &cells.pointer.pointee.message, tag)
            }
        }
        if starts {
            let message = state.wait(
                until: { state in if case .done = state.receive { true } else { false } },
                then: { state -> [UInt8]? in
                    guard case .done(let message) = state.receive else { return nil }
                    state.receive = .idle
                    return message
                }
            )
            if let message { return message }
        }
        if let error = waitForEnd() { throw error }
        return nil
    }

    /// Cancels the stream. Any thread, idempotent.
    package func cancel() { call.cancel() }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        switch operation {
        case .send, .halfClose:
            state.update { state in
                state.isSending = false
                if !success { state.isBroken = true }
            }
        case .receive:
            let message = cells.takeMessage()
            state.update { $0.receive = .done(message) }
        case .status:
            client.forget(self)
            let end: End = cells.error().map { .error($0) } ?? .ok
            state.update { $0.end = end }
        case .request, .answer, .metadata, .close, .shutdown: break
        }
    }

    private func startSending(
        _ operation: CompletionTag.Operation,
        _ body: (UnsafeMutableRawPointer) -> grpc_call_error
    ) throws(GRPCCallError) {
        let starts = state.wait(
            until: { !$0.isSending || $0.end != nil },
            then: { state in
                guard !state.isBroken, state.end == nil else { return false }
                state.isSending = unsafe queue.start(self, operation, body)
                return state.isSending
            }
        )
        if starts { return }
        throw waitForEnd() ?? GRPCCallError(status: .cancelled, message: "the stream is over")
    }

    private func waitForEnd() -> GRPCCallError? {
        state.wait(
            until: { $0.end != nil },
            then: { state in if case .error(let error) = state.end { error } else { nil } }
        )
    }
}
