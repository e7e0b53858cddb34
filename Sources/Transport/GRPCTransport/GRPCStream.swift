internal import CGRPC
internal import Synchronization
internal import SystemIO
internal import TraceModel

/// A server's end of a stream. All functions may be called from any thread.
@safe package final class GRPCStream: CompletionOwner, @unchecked Sendable {
    private enum Receive {
        case idle
        case armed
        /// The client has half-closed.
        case over
    }

    /// State that callers and poller threads share.
    private struct State {
        var sendQueue: [[UInt8]] = []
        /// Index of the next message in `sendQueue`; those before it are sent.
        var sendHead = 0
        var unsentBytes = 0
        var isSending = false
        var receive = Receive.idle
        var finish: Answer?
        var isStatusSent = false
        /// The call is over: nothing more is sent or received.
        var isEnded = false
        var heldBytes = 0
        /// When it started waiting for the next message (monotonic ns).
        var listening: Int64 = 0
        var attachment: (any AnyObject & Sendable)?
    }

    private let server: GRPCServer
    private let method: Int
    private let call: CallHandle
    /// Descriptor of the connection if that is metered, else -1.
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

    /// Address of the client: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`. Allocates.
    package var peer: String { call.peer(descriptor, server.peers) }

    /// The common name of the client's certificate, as a trusted proxy has verified it; nil if there is none.
    package var certificateName: String? { server.peers.certificateName(of: descriptor) }

    /// Whether the client is connected by a Unix socket, which only users of this machine can be.
    package var isLocalSocket: Bool { PeerAddress.isLocalSocket(peer) }

    /// An object that the handler stores with the stream.
    package var attachment: (any AnyObject & Sendable)? {
        get { state.withLock { $0.attachment } }
        set { state.withLock { $0.attachment = newValue } }
    }

    /// Bytes passed to `send` that the network has not taken yet.
    package var unsentBytes: Int { state.withLock { $0.unsentBytes } }

    /// Queues a message behind the previous ones. Returns false, and sends nothing, if the stream is over or finishing,
    /// or if the client does not read: the stream has more than `streamSendBytesMax` unsent, or all streams together
    /// have more than `sendBytesMax` and this one more than `streamSendShareBytes`.
    package func send(_ bytes: [UInt8]) -> Bool {
        state.withLock { state in
            guard !state.isEnded, state.finish == nil,
                server.mayQueue(bytes.count, beside: state.unsentBytes)
            else {
                return false
            }
            state.sendQueue.append(bytes)
            state.unsentBytes += bytes.count
            server.unsent.add(Self.memory(of: bytes), ordering: .relaxed)
            proceed(&state)
            return true
        }
    }

    /// Requests the client's next message. One `streamMessage` or `streamHalfClosed`, or the end of the stream,
    /// follows. A repeated request before that has no effect.
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

    /// Start time of the pending receive (monotonic ns); nil if none is pending.
    var listeningSince: Int64? {
        state.withLock { state in
            guard state.receive == .armed, !state.isEnded, state.finish == nil else { return nil }
            return state.listening
        }
    }

    /// Releases bytes of a message that no longer occupy memory on the stream's behalf.
    package func release(bytes: Int) {
        let released = state.withLock { state in
            // The end of the stream has released everything already.
            let released = min(bytes, state.heldBytes)
            state.heldBytes -= released
            return released
        }
        if released > 0 { server.giveBack(released) }
    }

    /// Ends the stream after all queued messages are sent. Only the first call has an effect.
    package func finish(
        _ status: GRPCStatus = .ok,
        _ message: String = "",
        trailers: [GRPCTrailer] = []
    ) {
        state.withLock { state in
            guard !state.isEnded, state.finish == nil else { return }
            state.finish = Answer(status: status, message: message, trailers: trailers)
            proceed(&state)
        }
    }

    // MARK: Events

    /// Sends the initial metadata and notifies the handler. Returns false if the call is over already.
    func open() -> Bool {
        let queue = server.queue
        let isWatched = unsafe queue.start(self, .close) { tag in
            unsafe trace_grpc_receive_close(call.pointer, &cells.pointee.cancelled, tag)
        }
        guard isWatched else { return false }
        // If it cannot start, the close follows at once, and ends the stream.
        let isGreeted = unsafe queue.start(self, .metadata) { tag in
            unsafe trace_grpc_send_metadata(call.pointer, tag)
        }
        if !isGreeted { call.cancel() }
        server.handler.streamOpened(self, method: method)
        return true
    }

    /// Ends the stream if it is waiting for a message, to make room for others.
    func evict(_ answer: Answer, _ reason: GRPCRefusal) {
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
            if count > server.configuration.smallMessageBytesMax { server.roomFreed() }
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

    /// Starts the next send, or sends the status once the queue is empty. At most one send is in flight.
    private func proceed(_ state: inout State) {
        guard !state.isEnded, !state.isSending else { return }
        if state.sendHead < state.sendQueue.count {
            sendNext(&state)
        } else if let answer = state.finish, !state.isStatusSent {
            state.isStatusSent = true
            // If it cannot start, the call is over, and its close event follows.
            _ = unsafe server.queue.start(self, .status) { tag in
                unsafe answer.withC { text, pairs, pairCount in
                    unsafe trace_grpc_send_status(
                        call.pointer,
                        grpc_status_code(answer.status.rawValue),
                        text.baseAddress?.assumingMemoryBound(to: CChar.self),
                        text.count,
                        pairs,
                        pairCount,
                        tag
                    )
                }
            }
        }
    }

    private static func memory(of bytes: [UInt8]) -> Int {
        bytes.count + Limits.streamSendOverheadBytes
    }

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
                unsafe trace_grpc_send_message(
                    call.pointer,
                    source.baseAddress,
                    source.count,
                    hasMore ? 1 : 0,
                    tag
                )
            }
        }
    }
}
