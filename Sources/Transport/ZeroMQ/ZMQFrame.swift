/// One part of a message to be sent.
@safe
package enum ZMQFrame {
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
