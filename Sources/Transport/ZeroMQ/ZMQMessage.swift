internal import CZeroMQ
internal import TraceModel

/// A message received, whole: owns the memory of its frames. It may move to another thread.
///
/// Views from `frame(_:)` are valid as long as the message lives: keep it in a variable, as a
/// temporary is gone before its view is read.
@safe package struct ZMQMessage: ~Copyable, @unchecked Sendable {
    // Heap memory, as zmq_msg_t must not move: libzmq keeps short contents inside it.
    private let parts: UnsafeMutablePointer<zmq_msg_t>
    private var partCount = 0
    private let hasSender: Bool

    /// The frames a message may have, beside the routing id.
    package static let frameCountMax = Limits.fabricFramesMax

    init(hasSender: Bool) {
        unsafe parts = .allocate(capacity: Self.frameCountMax + 1)
        self.hasSender = hasSender
    }

    deinit {
        for index in 0..<partCount { unsafe zmq_msg_close(parts + index) }
        unsafe parts.deallocate()
    }

    /// Room for one more frame, initialized; nil where the message has all it may have.
    mutating func addPart() -> UnsafeMutablePointer<zmq_msg_t>? {
        guard partCount < (hasSender ? Self.frameCountMax + 1 : Self.frameCountMax) else { return nil }
        let part = unsafe parts + partCount
        unsafe zmq_msg_init(part)
        partCount += 1
        return unsafe part
    }

    /// Who sent it; nil on a dealer, which has one peer.
    package var sender: RoutingID? {
        guard hasSender, partCount > 0 else { return nil }
        return unsafe RoutingID(ofReceived: part(0))
    }

    /// The number of frames, the routing id not among them.
    package var frameCount: Int { hasSender ? max(partCount - 1, 0) : partCount }

    /// The bytes of a frame; the routing id doesn't count.
    package borrowing func frame(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < frameCount)
        return unsafe part(hasSender ? index + 1 : index)
    }

    private borrowing func part(_ index: Int) -> UnsafeRawBufferPointer {
        let part = unsafe parts + index
        return unsafe UnsafeRawBufferPointer(start: zmq_msg_data(part), count: zmq_msg_size(part))
    }
}
