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
}

extension GRPCServerHandler {
    package func streamEnding(_ stream: GRPCStream, method: Int) {
        stream.finish(.aborted, "the server ends; call again")
    }
}

/// Why a call ended before its message reached the handler.
package enum GRPCRefusal: String, Sendable, CaseIterable {
    /// Too large, compressed, or broken off: the core refuses such by itself and doesn't say which.
    case notReceived = "not_received"
    /// The client closed without a message.
    case noMessage = "no_message"
    /// The message didn't arrive in `receiveSeconds`.
    case receiveTimeout = "receive_timeout"
    /// No turn to receive within `queueSeconds`.
    case queueTimeout = "queue_timeout"
    /// A stream without a message for `idleStreamSeconds` made room for others that waited.
    case idleStream = "idle_stream"
    /// More than `queuedCallsMax` waited already, or `openStreamsMax` were open.
    case queueFull = "queue_full"
}
