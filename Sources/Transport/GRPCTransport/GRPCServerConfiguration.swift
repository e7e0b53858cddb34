package import SystemIO
internal import TraceModel

/// Limits of a gRPC server. Its messages take at most `heldBytesMax` plus one message that is being handed over;
/// incomplete messages take `largePartialBytesMax` plus one message, `smallPartialBytesMax`, and the few privileged
/// connections of `ReceiveBudget`; open calls take `callBytesMax`. All of it is counted on sockets that `listen`
/// serves. Unix sockets are trusted and not counted.
package struct GRPCServerConfiguration: Sendable {
    /// Largest message accepted. One byte more is answered with `RESOURCE_EXHAUSTED`.
    package var messageBytesMax = Limits.messageBytesMax
    /// A message that announces more than this is not received at all. The core itself refuses sizes in between, but
    /// has to receive the message for that.
    package var announcedBytesMax = Limits.announcedBytesMax
    /// A connection with more bytes of incomplete messages than this counts as large.
    package var smallMessageBytesMax = Limits.smallMessageBytesMax
    /// Limit for incomplete messages on small connections. At the limit those connections are not read.
    package var smallPartialBytesMax = Limits.smallPartialBytesMax
    /// Limit for incomplete messages on large connections.
    package var largePartialBytesMax = Limits.largePartialBytesMax
    /// Minimum upload rate while other connections wait for room; slower calls are refused.
    package var uploadBytesPerSecondMin = Limits.uploadBytesPerSecondMin
    /// A unary call fails with `DEADLINE_EXCEEDED` if its connection receives nothing for this long.
    package var receiveSeconds = Double(Limits.receiveSeconds)
    /// Time limit for the whole message of a method of lane `.control`.
    package var controlReceiveSeconds = 5.0
    /// Bytes of messages passed to the handler and not answered yet. At this limit, connections that send batches are
    /// not read.
    package var heldBytesMax = Limits.heldBytesMax
    /// The same limit for large connections. The difference is reserved for small calls.
    package var heldLargeBytesMax = Limits.heldLargeBytesMax
    /// Memory cost of an open call beside its message. It counts as held once the message has arrived.
    package var callBytes = Limits.callBytes
    /// Memory limit for open calls. Above it, the connections with the most and oldest calls are refused.
    package var callBytesMax = Limits.callBytesMax
    /// Calls of one connection that the server has not taken from the core yet. Above it, the connection is not read.
    package var untakenCallsMax = Limits.untakenCallsMax
    /// Largest header block. Far above `metadataBytesMax`, which the core enforces with an answer.
    package var headerBlockBytesMax = Limits.headerBlockBytesMax
    /// Rate limit for frames that carry nothing (resets, pings, settings and so on) on one connection: burst, and
    /// frames per second. A connection that exceeds it is closed.
    package var idleFramesBurst = Limits.idleFramesBurst
    package var idleFramesPerSecond = Limits.idleFramesPerSecond
    /// Maximum number of open streams. One more ends an idle stream, or is answered with `RESOURCE_EXHAUSTED`.
    package var openStreamsMax = 1_024
    /// A stream that has received nothing for longer may be ended for a new one.
    package var idleStreamSeconds = 30.0
    /// Unsent bytes of one stream above which `GRPCStream.send` refuses.
    package var streamSendBytesMax = 4 << 20
    /// Unsent bytes of all streams above which streams with more than `streamSendShareBytes` are refused.
    package var sendBytesMax = Limits.streamSendBytesMax
    package var streamSendShareBytes = Limits.streamSendShareBytes
    package var metadataBytesMax = Limits.metadataBytesMax
    package var streamsPerConnectionMax = Limits.streamsPerConnectionMax
    /// Clients may ping this often. The third ping that comes sooner ends the connection.
    package var pingIntervalSecondsMin = 1.0
    /// Idle time after which the server sends a keepalive ping.
    package var keepaliveSeconds = 300.0
    /// Long, because an agent that was only suspended for a while sees the end of its connection as `UNAVAILABLE`.
    package var keepaliveTimeoutSeconds = 300.0
    /// Time limit for a client to start speaking HTTP/2; then its connection is closed.
    package var handshakeSeconds = 10.0
    /// Maximum number of open connections, less if the process may not open so many descriptors. Near the limit those
    /// that are idle for longest are closed; at it, new ones wait unaccepted.
    package var connectionsMax = Limits.grpcConnectionsMax
    /// Idle connections of one address above which they are the first to be closed.
    package var idlePerHostMax = Limits.grpcIdlePerHostMax
    package var pollers = 1
    /// Proxies whose connections may begin with a `ProxyHeader`. A proxy on a Unix socket need not be listed.
    package var proxies: [AddressRange] = []
    /// Trailers of every `RESOURCE_EXHAUSTED` that the server itself answers.
    package var exhaustedTrailers: [GRPCTrailer] = []

    package init() {}
}
