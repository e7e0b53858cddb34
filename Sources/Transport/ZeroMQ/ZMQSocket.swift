internal import CZeroMQ
internal import Glibc
internal import TraceModel

/// A libzmq call that failed: the call, what it was about, and errno (libzmq adds numbers of its own).
package struct ZMQError: Error, CustomStringConvertible, Sendable {
    package let errno: Int32
    package let call: String
    package let subject: String

    package var description: String {
        let reason = unsafe zmq_strerror(errno).map { unsafe String(cString: $0) }
        return "\(call) \(subject): \(reason ?? "error \(errno)")"
    }
}

/// Retries EINTR and throws every other failure. Reads errno right behind the call, in one function,
/// as anything between may overwrite it.
func zmqCall(_ call: StaticString, _ subject: @autoclosure () -> String, _ body: () -> Int32) throws(ZMQError) {
    while body() < 0 {
        let code = errno
        if code == EINTR { continue }
        throw ZMQError(errno: code, call: "\(call)", subject: subject())
    }
}

/// libzmq's I/O thread and all that its sockets share; one a process. Any thread may make sockets of it.
///
/// Sockets retain their context, so it goes after the last of them. That blocks until the I/O thread
/// has let go of every socket, which is prompt, as sockets don't linger.
@safe package final class ZMQContext: @unchecked Sendable {
    // Unchecked: the handle never changes, and libzmq allows contexts in any thread.
    let handle: UnsafeMutableRawPointer

    package init() throws(ZMQError) {
        guard let handle = unsafe zmq_ctx_new() else { throw ZMQError(errno: errno, call: "zmq_ctx_new", subject: "") }
        unsafe self.handle = handle
    }

    deinit {
        // zmq_ctx_term(3): after EINTR, the caller has to try again.
        while unsafe zmq_ctx_term(handle) != 0 && errno == EINTR {}
    }
}

/// The name by which a router socket addresses a peer, chosen by the peer.
///
/// libzmq ignores a second peer of the same name without a word, so a name must be one incarnation's
/// own: `function.3.e17`.
package struct RoutingID: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// 1 to 255 bytes that don't begin with NUL (those names are libzmq's); nil otherwise.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let first = bytes.first, first != 0, bytes.count <= 255 else { return nil }
        self.bytes = Array(bytes)
    }

    /// The UTF-8 of a text, under the same rule.
    package init?(_ text: String) { self.init(text.utf8) }

    /// What a message says of its sender: always a name, also one that libzmq made.
    init(ofReceived bytes: UnsafeRawBufferPointer) { unsafe self.bytes = Array(bytes) }

    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// One part of a message to be sent.
@safe package enum ZMQFrame {
    /// Bytes that are copied before `send` returns.
    case copied(UnsafeRawBufferPointer)
    /// Bytes inside memory that `owner` keeps unchanged: sent from where they lie. libzmq holds one
    /// reference to the owner until they are on their way or given up; the release, and so perhaps
    /// the owner's deinit, runs on a library thread.
    case retained(UnsafeRawBufferPointer, owner: any AnyObject & Sendable)

    /// Below this many bytes a copy costs less than the bookkeeping of a shared buffer (measured).
    static let copyBytesMax = 8 << 10

    var bytes: UnsafeRawBufferPointer {
        switch self {
        case .copied(let bytes): unsafe bytes
        case .retained(let bytes, _): unsafe bytes
        }
    }
}

/// What became of a message. Only `sent` gave anything to libzmq; even that is no more than queued.
package enum ZMQSendResult: Sendable, Equatable {
    case sent
    /// The peer's queue is full, or a dealer is not connected. The socket becomes writable later.
    case wouldBlock
    /// A router knows no peer of this name.
    case noSuchPeer
}

/// One end of the fabric. Belongs to the thread that made it, its deinit included; every call checks.
/// No call blocks.
@safe package final class ZMQSocket {
    package enum Kind: Sendable {
        /// Binds; talks to many peers by name. Sending to an unknown one is told, not swallowed.
        case router
        /// Connects; talks to one router under the name given. Nothing is queued while unconnected.
        case dealer(RoutingID)
    }

    let handle: UnsafeMutableRawPointer
    private let isRouter: Bool
    private let thread = pthread_self()
    // Sockets must go before their context, which waits for them.
    private let context: ZMQContext

    /// Received messages thrown away because they had more than `ZMQMessage.frameCountMax` frames.
    package private(set) var discardedMessages = 0

    /// `queueMessagesMax`: messages that wait for a peer at most, each way. It bounds what lies in
    /// memory for a peer that is up but doesn't read; event bytes are bounded by the router's credits.
    package init(
        _ context: ZMQContext, _ kind: Kind, queueMessagesMax: Int = Limits.fabricQueueMessagesMax
    ) throws(ZMQError) {
        let type = if case .router = kind { ZMQ_ROUTER } else { ZMQ_DEALER }
        guard let handle = unsafe zmq_socket(context.handle, type) else {
            throw ZMQError(errno: errno, call: "zmq_socket", subject: "")
        }
        unsafe self.handle = handle
        self.context = context
        isRouter = type == ZMQ_ROUTER
        // What a process hasn't got rid of when it ends is in the log, or is sent again.
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

    /// Listens at `ipc://path`. Takes the path from whoever had it, so hold the directory's lock first.
    /// A socket that closes removes its path a little later: end the old context before a new bind.
    package func bind(_ endpoint: String) throws(ZMQError) {
        checkThread()
        try zmqCall("zmq_bind", endpoint) { unsafe zmq_bind(handle, endpoint) }
    }

    /// Connects in the background, again whenever the connection is lost.
    package func connect(_ endpoint: String) throws(ZMQError) {
        checkThread()
        try zmqCall("zmq_connect", endpoint) { unsafe zmq_connect(handle, endpoint) }
    }

    /// Queues one message, all frames or none. `peer` on a router only.
    package func send(to peer: RoutingID? = nil, _ frames: [ZMQFrame]) -> ZMQSendResult {
        checkThread()
        precondition(isRouter == (peer != nil), "a router names the peer, a dealer has one")
        precondition(!frames.isEmpty && frames.count <= ZMQMessage.frameCountMax)
        if let peer {
            let result = unsafe peer.bytes.withUnsafeBytes { name in unsafe sendPart(.copied(name), hasMore: true) }
            guard result == .sent else { return result }
        }
        var outcome = ZMQSendResult.sent
        for (index, frame) in frames.enumerated() {
            let result = sendPart(frame, hasMore: index + 1 < frames.count)
            guard result != .sent else { continue }
            if index == 0 { return result }
            // The peer left in the middle. libzmq has taken the first frames back and expects the
            // rest only to throw it away.
            outcome = result
        }
        return outcome
    }

    /// Queues one message whose first frame, the head, is copied.
    package func send(to peer: RoutingID? = nil, head: [UInt8], _ rest: [ZMQFrame] = []) -> ZMQSendResult {
        unsafe head.withUnsafeBytes { unsafe send(to: peer, [.copied($0)] + rest) }
    }

    /// The next message, nil where none waits.
    package func receive() -> ZMQMessage? {
        checkThread()
        while true {
            var message = ZMQMessage(hasSender: isRouter)
            switch receiveParts(into: &message) {
            case .whole: return message
            case .none: return nil
            case .tooLong: discardedMessages += 1
            }
        }
    }

    func checkThread() { precondition(pthread_equal(thread, pthread_self()) != 0, "a socket left its thread") }
}

// MARK: - Over libzmq

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
                // A message not sent stays ours; closing it releases its owner.
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
                part, UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count,
                { _, hint in
                    guard let hint = unsafe hint else { return }
                    unsafe Unmanaged<AnyObject>.fromOpaque(hint).release()
                }, reference.toOpaque())
            precondition(code == 0, "zmq_msg_init_data: out of memory")
            return
        }
        let bytes = unsafe frame.bytes
        let code = unsafe zmq_msg_init_size(part, bytes.count)
        precondition(code == 0, "zmq_msg_init_size: out of memory")
        if let source = bytes.baseAddress { unsafe zmq_msg_data(part).copyMemory(from: source, byteCount: bytes.count) }
    }

    private enum Received {
        case whole
        case none
        case tooLong
    }

    private func receiveParts(into message: inout ZMQMessage) -> Received {
        while let part = unsafe message.addPart() {
            guard unsafe receivePart(part) else { return .none }
            if unsafe zmq_msg_more(part) == 0 { return .whole }
        }
        drainParts()
        return .tooLong
    }

    /// False where nothing waits: at a message's first frame only, as libzmq delivers messages whole.
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
