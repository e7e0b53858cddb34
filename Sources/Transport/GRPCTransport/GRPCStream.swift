internal import CGRPC
internal import Synchronization
internal import SystemIO
internal import TraceModel

/// A stream on the server. All functions may be called from any thread.
@safe package final class GRPCStream: CompletionOwner, @unchecked Sendable {
    private enum Receive {
        case idle
        case armed
        /// The client has half-closed.
        case over
    }

    private struct State {
        var sendQueue: [[UInt8]] = []
        /// Where the queue begins in `sendQueue`; what lies before is sent.
        var sendHead = 0
        var unsentBytes = 0
        var isSending = false
        var receive = Receive.idle
        var finish: Answer?
        var isStatusSent = false
        /// The call is over: nothing more goes out or comes in.
        var isEnded = false
        var heldBytes = 0
        /// When it began to listen for the next message, monotonic ns.
        var listening: Int64 = 0
        var attachment: (any AnyObject & Sendable)?
    }

    private let server: GRPCServer
    private let method: Int
    private let call: CallHandle
    /// Of its connection, where that is metered; else -1.
    let descriptor: Int32
    private let cells: UnsafeMutablePointer<trace_grpc_cells>
    private let state = Mutex(State())

    init(server: GRPCServer, method: Int, call: consuming CallHandle, descriptor: Int32) {
        self.server = server
        self.method = method
        self.descriptor = descriptor
        unsafe cells = trace_grpc_cells_create(call.pointer)
        self.call = call
    }

    /// The other side: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`. Allocates.
    package var peer: String { call.peer(descriptor, server.peers) }

    /// True where the client came over a Unix socket, which only this machine's users can.
    package var isLocalSocket: Bool { PeerAddress.isLocalSocket(peer) }

    /// Whatever the handler keeps with the stream.
    package var attachment: (any AnyObject & Sendable)? {
        get { state.withLock { $0.attachment } }
        set { state.withLock { $0.attachment = newValue } }
    }

    /// Bytes given to `send` that the network has not taken yet.
    package var unsentBytes: Int { state.withLock { $0.unsentBytes } }

    /// Sends a message after those before it. False, and nothing is sent: the stream is over or
    /// finishing, or too much is unsent as the client doesn't read: of this stream more than
    /// `streamSendBytesMax`, or of all more than `sendBytesMax`, and of this one more than its share.
    package func send(_ bytes: [UInt8]) -> Bool {
        state.withLock { state in
            guard !state.isEnded, state.finish == nil, server.mayQueue(bytes.count, beside: state.unsentBytes) else {
                return false
            }
            state.sendQueue.append(bytes)
            state.unsentBytes += bytes.count
            server.unsent.add(Self.memory(of: bytes), ordering: .relaxed)
            proceed(&state)
            return true
        }
    }

    /// Asks for the client's next message: one `streamMessage` or `streamHalfClosed` follows, or the
    /// end of the stream. Asking again before that changes nothing.
    package func receiveNext() {
        state.withLock { state in
            guard state.receive == .idle, !state.isEnded, state.finish == nil else { return }
            let starts = unsafe server.queue.start(self, .receive) { tag in
                unsafe trace_grpc_receive_message(call.pointer, &cells.pointee.message, tag)
            }
            state.receive = starts ? .armed : .over
            state.listening = WallClock.monotonic()
        }
    }

    /// Since when it listens for a message that has not come, monotonic ns; nil where it doesn't.
    var listeningSince: Int64? {
        state.withLock { state in
            guard state.receive == .armed, !state.isEnded, state.finish == nil else { return nil }
            return state.listening
        }
    }

    /// Gives back the budget of a message: its bytes are no longer in memory on the stream's behalf.
    package func release(bytes: Int) {
        let released = state.withLock { state in
            // The end of the stream has given everything back already.
            let released = min(bytes, state.heldBytes)
            state.heldBytes -= released
            return released
        }
        if released > 0 { server.giveBack(released) }
    }

    /// Ends the stream once everything is sent. Once only; later ones change nothing.
    package func finish(_ status: GRPCStatus = .ok, _ message: String = "", trailers: [GRPCTrailer] = []) {
        state.withLock { state in
            guard !state.isEnded, state.finish == nil else { return }
            state.finish = Answer(status: status, message: message, trailers: trailers)
            proceed(&state)
        }
    }

    // MARK: Events

    /// Tells the client and the handler that the stream is open. False where the call is over already.
    func open() -> Bool {
        let queue = server.queue
        let isWatched = unsafe queue.start(self, .close) { tag in
            unsafe trace_grpc_receive_close(call.pointer, &cells.pointee.cancelled, tag)
        }
        guard isWatched else { return false }
        // Without it the close comes at once, and with it the end of the stream.
        let isGreeted = unsafe queue.start(self, .metadata) { tag in unsafe trace_grpc_send_metadata(call.pointer, tag)
        }
        if !isGreeted { call.cancel() }
        server.handler.streamOpened(self, method: method)
        return true
    }

    /// Ends the stream if it listens: it makes room for others.
    func giveWay(_ answer: Answer, _ reason: GRPCRefusal) {
        guard listeningSince != nil else { return }
        server.handler.refused(method: method, reason: reason)
        finish(answer.status, answer.message, trailers: answer.trailers)
    }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        switch operation {
        case .receive: received(success: success)
        case .send: sent()
        case .close: closed()
        case .request, .answer, .metadata, .status, .halfClose, .shutdown: break
        }
    }

    private func received(success: Bool) {
        let buffer = unsafe cells.pointee.message
        unsafe cells.pointee.message = nil
        let count = unsafe buffer.map { unsafe grpc_byte_buffer_length($0) } ?? 0
        let isLive = state.withLock { state in
            let isLive = !state.isEnded && state.finish == nil
            state.receive = unsafe buffer == nil ? .over : .idle
            if isLive { state.heldBytes += count }
            return isLive
        }
        if isLive { server.take(count) }
        if let buffer = unsafe buffer {
            let message = unsafe ReceivedMessage(takingOwnership: buffer)
            guard isLive else { return }
            server.handler.streamMessage(self, method: method, message: message)
            if count > server.configuration.smallMessageBytesMax { server.madeRoom() }
        } else if isLive, success, !call.failedBeforeMessage {
            server.handler.streamHalfClosed(self, method: method)
        }
    }

    private func sent() {
        state.withLock { state in
            state.isSending = false
            proceed(&state)
        }
    }

    private func closed() {
        let isCancelled = unsafe cells.pointee.cancelled != 0
        let held = state.withLock { state in
            state.isEnded = true
            for bytes in state.sendQueue[state.sendHead...] {
                server.unsent.subtract(Self.memory(of: bytes), ordering: .relaxed)
            }
            state.sendQueue = []
            state.sendHead = 0
            state.unsentBytes = 0
            defer { state.heldBytes = 0 }
            return state.heldBytes
        }
        if held > 0 { server.giveBack(held) }
        server.streamClosed(self)
        server.handler.streamEnded(self, method: method, cancelled: isCancelled)
        attachment = nil
    }

    /// Starts the next send, or the status once all is sent. One send is in flight at once.
    private func proceed(_ state: inout State) {
        guard !state.isEnded, !state.isSending else { return }
        if state.sendHead < state.sendQueue.count {
            sendNext(&state)
        } else if let answer = state.finish, !state.isStatusSent {
            state.isStatusSent = true
            // Where it cannot start, the call is over, and its close says so.
            _ = unsafe server.queue.start(self, .status) { tag in
                unsafe answer.withC { text, pairs, pairCount in
                    unsafe trace_grpc_send_status(
                        call.pointer, grpc_status_code(answer.status.rawValue),
                        text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count, pairs, pairCount, tag)
                }
            }
        }
    }

    private static func memory(of bytes: [UInt8]) -> Int { bytes.count + Limits.streamSendOverheadBytes }

    private func sendNext(_ state: inout State) {
        let bytes = state.sendQueue[state.sendHead]
        state.sendHead += 1
        state.unsentBytes -= bytes.count
        server.unsent.subtract(Self.memory(of: bytes), ordering: .relaxed)
        let hasMore = state.sendHead < state.sendQueue.count
        if !hasMore {
            state.sendQueue.removeAll(keepingCapacity: true)
            state.sendHead = 0
        } else if state.sendHead >= 512 {
            state.sendQueue.removeFirst(state.sendHead)
            state.sendHead = 0
        }
        state.isSending = unsafe server.queue.start(self, .send) { tag in
            unsafe bytes.withUnsafeBytes { source in
                unsafe trace_grpc_send_message(call.pointer, source.baseAddress, source.count, hasMore ? 1 : 0, tag)
            }
        }
    }
}
