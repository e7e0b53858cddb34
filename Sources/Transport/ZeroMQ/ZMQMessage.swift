internal import CZeroMQ
internal import TraceModel

/// A received message that owns the memory of its frames. It may move to another thread.
///
/// Views from `frame(_:)` are valid as long as the message lives: keep it in a variable, because a temporary is
/// destroyed before its view is read.
@safe package struct ZMQMessage: ~Copyable, @unchecked Sendable {
    // On the heap because zmq_msg_t must not move: libzmq keeps short contents inside it.
    private let parts: UnsafeMutablePointer<zmq_msg_t>
    private var partCount = 0
    private let hasSender: Bool

    /// Maximum number of frames of a message, the routing id not counted.
    package static let frameCountMax = Limits.fabricFramesMax

    init(hasSender: Bool) {
        unsafe parts = .allocate(capacity: Self.frameCountMax + 1)
        self.hasSender = hasSender
    }

    deinit {
        for index in 0..<partCount { unsafe zmq_msg_close(parts + index) }
        unsafe parts.deallocate()
    }

    /// Returns an initialized frame to receive into; nil if the message has the maximum.
    mutating func addPart() -> UnsafeMutablePointer<zmq_msg_t>? {
        guard partCount < (hasSender ? Self.frameCountMax + 1 : Self.frameCountMax) else {
            return nil
        }
        let part = unsafe parts + partCount
        unsafe zmq_msg_init(part)
        partCount += 1
        return unsafe part
    }

    /// Routing id of the sender; nil on a dealer, which has only one peer.
    package var sender: RoutingID? {
        guard hasSender, partCount > 0 else { return nil }
        return unsafe RoutingID(ofReceived: part(0))
    }

    /// Number of frames, the routing id not counted.
    package var frameCount: Int { hasSender ? max(partCount - 1, 0) : partCount }

    /// Returns the bytes of a frame. The routing id has no index.
    package borrowing func frame(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < frameCount)
        return unsafe part(hasSender ? index + 1 : index)
    }

    private borrowing func part(_ index: Int) -> UnsafeRawBufferPointer {
        let part = unsafe parts + index
        return unsafe UnsafeRawBufferPointer(start: zmq_msg_data(part), count: zmq_msg_size(part))
    }
}
