internal import CZeroMQ
internal import Glibc
internal import TraceModel

/// A failed libzmq call: its name, its subject, and errno (libzmq defines additional numbers).
package struct ZMQError: Error, CustomStringConvertible, Sendable {
    package let errno: Int32
    package let call: String
    package let subject: String

    package var description: String {
        let reason = unsafe zmq_strerror(errno).map { unsafe String(cString: $0) }
        return "\(call) \(subject): \(reason ?? "error \(errno)")"
    }
}

/// Retries on EINTR and throws any other failure. It reads errno right after the call, before anything can overwrite
/// it.
func zmqCall(
    _ call: StaticString,
    _ subject: @autoclosure () -> String,
    _ body: () -> Int32
) throws(ZMQError) {
    while body() < 0 {
        let code = errno
        if code == EINTR { continue }
        throw ZMQError(errno: code, call: "\(call)", subject: subject())
    }
}

/// A libzmq context with its I/O thread; one per process. Any thread may create sockets of it.
///
/// Sockets retain their context, so it is destroyed after the last of them. That blocks until the I/O thread has
/// released every socket, which is prompt because sockets do not linger.
@safe package final class ZMQContext: @unchecked Sendable {
    // Unchecked because the handle never changes, and libzmq allows contexts in any thread.
    let handle: UnsafeMutableRawPointer

    package init() throws(ZMQError) {
        guard let handle = unsafe zmq_ctx_new() else {
            throw ZMQError(errno: errno, call: "zmq_ctx_new", subject: "")
        }
        unsafe self.handle = handle
    }

    deinit {
        // After EINTR the caller has to retry (zmq_ctx_term(3)).
        while unsafe zmq_ctx_term(handle) != 0 && errno == EINTR {}
    }
}

/// The name by which a router socket addresses a peer, chosen by the peer.
///
/// libzmq silently ignores a second peer of the same name, so a name must belong to one incarnation: `function.3.e17`.
package struct RoutingID: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// Creates an id of 1 to 255 bytes that do not start with NUL, which libzmq reserves; nil otherwise.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let first = bytes.first, first != 0, bytes.count <= 255 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Creates an id of a text's UTF-8 under the same rule.
    package init?(_ text: String) { self.init(text.utf8) }

    /// The sender of a received message; the bytes may also be a name that libzmq made.
    init(ofReceived bytes: UnsafeRawBufferPointer) { unsafe self.bytes = Array(bytes) }

    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// One part of a message to be sent.
@safe package enum ZMQFrame {
    /// Bytes that are copied before `send` returns.
    case copied(UnsafeRawBufferPointer)
    /// Bytes in memory that `owner` keeps unchanged, sent without a copy. libzmq holds one reference to the owner until
    /// the bytes are sent or dropped; it releases it, and perhaps runs the owner's deinit, on a library thread.
    case retained(UnsafeRawBufferPointer, owner: any AnyObject & Sendable)

    /// Below this size a copy is cheaper than the bookkeeping of a shared buffer (measured).
    static let copyBytesMax = 8 << 10

    var bytes: UnsafeRawBufferPointer {
        switch self {
        case .copied(let bytes): unsafe bytes
        case .retained(let bytes, _): unsafe bytes
        }
    }
}

/// Result of sending. Only with `sent` has libzmq taken the message, and then only queued it.
package enum ZMQSendResult: Sendable, Equatable {
    case sent
    /// The peer's queue is full, or a dealer is not connected. The socket becomes writable later.
    case wouldBlock
    /// The router has no peer of this name.
    case noSuchPeer
}

/// A ZeroMQ socket. Bound to the thread that created it, including its deinit; every call checks that. No call blocks.
@safe package final class ZMQSocket {
    package enum Kind: Sendable {
        /// Binds, and addresses many peers by name. Sending to an unknown peer returns `noSuchPeer`.
        case router
        /// Connects to one router under the given name. Nothing is queued while unconnected.
        case dealer(RoutingID)
    }

    let handle: UnsafeMutableRawPointer
    private let isRouter: Bool
    private let thread = pthread_self()
    // Retained because the context's deinit waits for its sockets.
    private let context: ZMQContext

    /// Number of received messages that were discarded for having more than `ZMQMessage.frameCountMax` frames.
    package private(set) var discardedMessages = 0

    /// Creates a socket. `queueMessagesMax` limits the messages queued per peer and direction, and so the memory for a
    /// peer that is connected but does not read. Event bytes are limited by the router's credits.
    package init(
        _ context: ZMQContext,
        _ kind: Kind,
        queueMessagesMax: Int = Limits.fabricQueueMessagesMax
    ) throws(ZMQError) {
        let type = if case .router = kind { ZMQ_ROUTER } else { ZMQ_DEALER }
        guard let handle = unsafe zmq_socket(context.handle, type) else {
            throw ZMQError(errno: errno, call: "zmq_socket", subject: "")
        }
        unsafe self.handle = handle
        self.context = context
        isRouter = type == ZMQ_ROUTER
        // Whatever a process has not sent when it ends is in the log, or is sent again.
        try set(ZMQ_LINGER, Int32(0))
        try set(ZMQ_MAXMSGSIZE, Int64(Limits.fabricMessageBytesMax))
        try set(ZMQ_HANDSHAKE_IVL, Int32(Limits.fabricHandshakeSeconds * 1_000))
        try set(ZMQ_SNDHWM, Int32(queueMessagesMax))
        try set(ZMQ_RCVHWM, Int32(queueMessagesMax))
        switch kind {
        case .router: try set(ZMQ_ROUTER_MANDATORY, Int32(1))
        case .dealer(let name):
            try set(ZMQ_IMMEDIATE, Int32(1))
            try zmqCall("zmq_setsockopt", "routing id \(name)") {
                unsafe zmq_setsockopt(handle, ZMQ_ROUTING_ID, name.bytes, name.bytes.count)
            }
        }
    }

    deinit {
        checkThread()
        unsafe zmq_close(handle)
    }

    /// Listens at `ipc://path`. It takes the path over from any other process, so hold the directory's lock first. A
    /// closed socket removes its path only later: destroy the old context before a new bind.
    package func bind(_ endpoint: String) throws(ZMQError) {
        checkThread()
        try zmqCall("zmq_bind", endpoint) { unsafe zmq_bind(handle, endpoint) }
    }

    /// Connects in the background, and reconnects whenever the connection is lost.
    package func connect(_ endpoint: String) throws(ZMQError) {
        checkThread()
        try zmqCall("zmq_connect", endpoint) { unsafe zmq_connect(handle, endpoint) }
    }

    /// Queues one message, either all frames or none. `peer` is required on a router and forbidden on a dealer.
    package func send(to peer: RoutingID? = nil, _ frames: [ZMQFrame]) -> ZMQSendResult {
        checkThread()
        precondition(
            isRouter == (peer != nil),
            "a router needs the peer, a dealer must not name one"
        )
        precondition(!frames.isEmpty && frames.count <= ZMQMessage.frameCountMax)
        if let peer {
            let result = unsafe peer.bytes.withUnsafeBytes { name in
                unsafe sendPart(.copied(name), hasMore: true)
            }
            guard result == .sent else { return result }
        }
        var outcome = ZMQSendResult.sent
        for (index, frame) in frames.enumerated() {
            let result = sendPart(frame, hasMore: index + 1 < frames.count)
            guard result != .sent else { continue }
            if index == 0 { return result }
            // The peer disconnected between frames. libzmq has rolled the first frames back and expects the rest only
            // to drop it.
            outcome = result
        }
        return outcome
    }

    /// Queues one message whose first frame is copied.
    package func send(
        to peer: RoutingID? = nil,
        head: [UInt8],
        _ rest: [ZMQFrame] = []
    ) -> ZMQSendResult {
        unsafe head.withUnsafeBytes { unsafe send(to: peer, [.copied($0)] + rest) }
    }

    /// Returns the next message; nil if none is queued.
    package func receive() -> ZMQMessage? {
        checkThread()
        while true {
            var message = ZMQMessage(hasSender: isRouter)
            switch receiveParts(into: &message) {
            case .message: return message
            case .none: return nil
            case .tooLong: discardedMessages += 1
            }
        }
    }

    func checkThread() {
        precondition(pthread_equal(thread, pthread_self()) != 0, "a socket is bound to its thread")
    }
}

// MARK: - libzmq calls

extension ZMQSocket {
    private func set<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) throws(ZMQError) {
        var value = value
        try zmqCall("zmq_setsockopt", "option \(option)") {
            unsafe zmq_setsockopt(handle, option, &value, MemoryLayout<Value>.size)
        }
    }

    private func sendPart(_ frame: ZMQFrame, hasMore: Bool) -> ZMQSendResult {
        unsafe withUnsafeTemporaryAllocation(of: zmq_msg_t.self, capacity: 1) { buffer in
            guard let part = buffer.baseAddress else { preconditionFailure() }
            unsafe fill(part, from: frame)
            let flags = ZMQ_DONTWAIT | (hasMore ? ZMQ_SNDMORE : 0)
            while unsafe zmq_msg_send(part, handle, flags) < 0 {
                let code = errno
                if code == EINTR { continue }
                // The caller still owns a message that was not sent; closing it releases its owner.
                unsafe zmq_msg_close(part)
                switch code {
                case EAGAIN: return .wouldBlock
                case EHOSTUNREACH: return .noSuchPeer
                default: preconditionFailure("zmq_msg_send: errno \(code)")
                }
            }
            return .sent
        }
    }

    private func fill(_ part: UnsafeMutablePointer<zmq_msg_t>, from frame: ZMQFrame) {
        if case .retained(let bytes, let owner) = frame, bytes.count >= ZMQFrame.copyBytesMax {
            let reference = unsafe Unmanaged<AnyObject>.passRetained(owner)
            let code = unsafe zmq_msg_init_data(
                part,
                UnsafeMutableRawPointer(mutating: bytes.baseAddress),
                bytes.count,
                { _, hint in
                    guard let hint = unsafe hint else { return }
                    unsafe Unmanaged<AnyObject>.fromOpaque(hint).release()
                },
                reference.toOpaque()
            )
            precondition(code == 0, "zmq_msg_init_data: out of memory")
            return
        }
        let bytes = unsafe frame.bytes
        let code = unsafe zmq_msg_init_size(part, bytes.count)
        precondition(code == 0, "zmq_msg_init_size: out of memory")
        if let source = bytes.baseAddress {
            unsafe zmq_msg_data(part).copyMemory(from: source, byteCount: bytes.count)
        }
    }

    /// The result of receiving one message.
    private enum Received {
        case message
        case none
        case tooLong
    }

    private func receiveParts(into message: inout ZMQMessage) -> Received {
        while let part = unsafe message.addPart() {
            guard unsafe receivePart(part) else { return .none }
            if unsafe zmq_msg_more(part) == 0 { return .message }
        }
        drainParts()
        return .tooLong
    }

    /// Returns false if nothing is queued, which happens only at the first frame because libzmq delivers messages
    /// atomically.
    private func receivePart(_ part: UnsafeMutablePointer<zmq_msg_t>) -> Bool {
        while unsafe zmq_msg_recv(part, handle, ZMQ_DONTWAIT) < 0 {
            let code = errno
            if code == EINTR { continue }
            precondition(code == EAGAIN, "zmq_msg_recv: errno \(code)")
            return false
        }
        return true
    }

    private func drainParts() {
        unsafe withUnsafeTemporaryAllocation(of: zmq_msg_t.self, capacity: 1) { buffer in
            guard let part = buffer.baseAddress else { preconditionFailure() }
            unsafe zmq_msg_init(part)
            defer { unsafe zmq_msg_close(part) }
            while unsafe receivePart(part), unsafe zmq_msg_more(part) != 0 {}
        }
    }
}
