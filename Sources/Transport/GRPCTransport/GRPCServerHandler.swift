internal import CGRPC
internal import Glibc

/// One method a server offers.
package struct GRPCMethod: Sendable, Equatable {
    package enum Kind: Sendable {
        case unary
        /// Any stream: the handler asks for each message of the client with `receiveNext`, and sends
        /// as many as it likes.
        case stream
    }

    /// Which bound on receives a unary call falls under.
    package enum Lane: Sendable {
        case ingest
        /// Small messages of operators and probes.
        case control
    }

    /// As on the wire: `/NeuTracer.TracerService/SendTraceBatch`.
    package let path: String
    package let kind: Kind
    package let lane: Lane

    package init(path: String, kind: Kind, lane: Lane = .ingest) {
        self.path = path
        self.kind = kind
        self.lane = lane
    }
}

/// Finds a method's index by the path of a call. The first methods are found fastest.
struct MethodTable: Sendable {
    let methods: [GRPCMethod]
    private let paths: [ContiguousArray<UInt8>]

    init(_ methods: [GRPCMethod]) {
        self.methods = methods
        paths = methods.map { ContiguousArray($0.path.utf8) }
    }

    /// Nil for a method that the server doesn't offer. O(methods).
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

/// What a server does with its calls. Everything is called on a poller thread and must not block.
/// `method` is the index in the server's list of methods.
package protocol GRPCServerHandler: AnyObject, Sendable {
    /// A unary call with its message, to be answered exactly once, now or later, from any thread.
    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage)

    /// A stream has opened. No message comes until `receiveNext`.
    func streamOpened(_ stream: GRPCStream, method: Int)
    /// A message that `receiveNext` asked for. Its bytes count as held until `stream.release(bytes:)`.
    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage)
    /// The client sends no more; it still receives.
    func streamHalfClosed(_ stream: GRPCStream, method: Int)
    /// The server is about to end, and the stream has to be finished soon: at its deadline the server
    /// cancels what is left. Messages may come until then.
    func streamEnding(_ stream: GRPCStream, method: Int)
    /// The last call for a stream: its status is out, or (`cancelled`) the client is gone.
    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool)

    /// The server has refused or lost a call before its message came.
    func refused(method: Int, reason: GRPCRefusal)
    /// The server has closed a connection.
    func closed(_ reason: GRPCClosing)
}

extension GRPCServerHandler {
    package func streamEnding(_ stream: GRPCStream, method: Int) {
        stream.finish(.aborted, "the server ends; call again")
    }

    package func closed(_ reason: GRPCClosing) {}
}

/// Why a call ended before its message reached the handler.
package enum GRPCRefusal: String, Sendable, CaseIterable {
    /// Too large, compressed, or broken off: the core refuses such by itself and doesn't say which.
    case notReceived = "not_received"
    /// The client closed without a message.
    case noMessage = "no_message"
    /// Nothing of the message arrived for `receiveSeconds`.
    case receiveTimeout = "receive_timeout"
    /// It announced more than `announcedBytesMax`.
    case tooLarge = "too_large"
    /// It came too slowly while others waited for room.
    case slowUpload = "slow_upload"
    /// Open calls took too much memory, and its connection had the most and oldest.
    case idleCall = "idle_call"
    /// A stream that listened in vain made room for another one.
    case idleStream = "idle_stream"
    /// `openStreamsMax` were open, and none of them idle.
    case queueFull = "queue_full"
}

/// Why the server closed a connection.
package enum GRPCClosing: String, Sendable, CaseIterable {
    /// Too many frames that carry nothing, too large a header block, or too many calls.
    case flood
    /// Nearly `connectionsMax` were open, and it was idle for longest.
    case idle
    /// Its client did not begin to speak HTTP/2, and others came.
    case silent
    /// Its calls were refused as `slowUpload` or `tooLarge`, and their memory was not freed.
    case slowUpload = "slow_upload"
    /// The same as `idleCall`: its client doesn't read.
    case unreadAnswers = "unread_answers"
}
