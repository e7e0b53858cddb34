internal import CGRPC
internal import Glibc

/// A method that a server offers.
package struct GRPCMethod: Sendable, Equatable {
    /// Unary or streaming.
    package enum Kind: Sendable {
        case unary
        /// A stream of any direction. The handler requests each message of the client with `receiveNext`, and sends any
        /// number of messages.
        case stream
    }

    /// Class of a unary call that decides which receive limits apply.
    package enum Lane: Sendable {
        case ingest
        /// Small messages of operators and probes.
        case control
    }

    /// Path as on the wire, such as `/NeuTracer.TracerService/SendTraceBatch`.
    package let path: String
    package let kind: Kind
    package let lane: Lane

    package init(path: String, kind: Kind, lane: Lane = .ingest) {
        self.path = path
        self.kind = kind
        self.lane = lane
    }
}

/// Maps the path of a call to the method's index. The first methods are found fastest.
struct MethodTable: Sendable {
    let methods: [GRPCMethod]
    private let paths: [ContiguousArray<UInt8>]

    init(_ methods: [GRPCMethod]) {
        self.methods = methods
        paths = methods.map { ContiguousArray($0.path.utf8) }
    }

    /// Returns the method's index, nil if the server does not offer it. O(methods).
    func index(of path: UnsafePointer<grpc_slice>) -> Int? {
        guard let start = unsafe trace_grpc_slice_start(path) else { return nil }
        let count = unsafe trace_grpc_slice_length(path)
        for (index, candidate) in paths.enumerated() where candidate.count == count {
            let equal = unsafe candidate.withUnsafeBytes { bytes in
                guard let known = bytes.baseAddress else { return count == 0 }
                return unsafe memcmp(known, start, count) == 0
            }
            if equal { return index }
        }
        return nil
    }
}

/// Handles a server's calls. All functions run on a poller thread and must not block. `method` is the index in the
/// server's list of methods.
package protocol GRPCServerHandler: AnyObject, Sendable {
    /// Handles a unary call with its message. It must be answered exactly once, now or later, from any thread.
    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage)

    /// A stream has opened. No message arrives before `receiveNext` is called.
    func streamOpened(_ stream: GRPCStream, method: Int)
    /// A message requested by `receiveNext` has arrived. Its bytes count as held until `stream.release(bytes:)`.
    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage)
    /// The client has half-closed: it sends no more but still receives.
    func streamHalfClosed(_ stream: GRPCStream, method: Int)
    /// The server is about to stop, and the handler should finish the stream. At the deadline the server cancels
    /// remaining streams. Messages may arrive until then.
    func streamEnding(_ stream: GRPCStream, method: Int)
    /// The last callback for a stream: its status was sent, or (`cancelled`) the client is gone.
    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool)

    /// The server has refused or lost a call before its message arrived.
    func refused(method: Int, reason: GRPCRefusal)
    /// The server has closed a connection.
    func closed(_ reason: GRPCClosing)
}

extension GRPCServerHandler {
    /// Finishes the stream with `aborted`, so that the client calls again.
    package func streamEnding(_ stream: GRPCStream, method: Int) {
        stream.finish(.aborted, "the server is stopping; call again")
    }

    /// Does nothing.
    package func closed(_ reason: GRPCClosing) {}
}

/// Why a call ended before its message reached the handler.
package enum GRPCRefusal: String, Sendable, CaseIterable {
    /// Too large, compressed or aborted. The core refuses such messages itself and does not say why.
    case notReceived = "not_received"
    /// The client half-closed without a message.
    case noMessage = "no_message"
    /// Nothing of the message arrived for `receiveSeconds`.
    case receiveTimeout = "receive_timeout"
    /// The message announced more than `announcedBytesMax`.
    case tooLarge = "too_large"
    /// The message arrived too slowly while others waited for room.
    case slowUpload = "slow_upload"
    /// Open calls took too much memory, and this connection had the most and oldest.
    case idleCall = "idle_call"
    /// The stream was idle and was ended for a new one.
    case idleStream = "idle_stream"
    /// `openStreamsMax` streams were open, and none was idle.
    case queueFull = "queue_full"
}

/// Why the server closed a connection.
package enum GRPCClosing: String, Sendable, CaseIterable {
    /// Too many frames without payload, too large a header block, or too many calls.
    case flood
    /// The server was near `connectionsMax`, and the connection was idle for longest.
    case idle
    /// The client did not start to speak HTTP/2 while other clients waited.
    case silent
    /// Its calls were refused as `slowUpload` or `tooLarge`, and their memory was not freed.
    case slowUpload = "slow_upload"
    /// Its calls were refused as `idleCall`, and their memory was not freed: the client does not read.
    case unreadAnswers = "unread_answers"
}
