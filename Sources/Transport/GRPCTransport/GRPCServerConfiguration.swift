internal import TraceModel

/// The bounds of a gRPC server. What the messages of one take at most: `heldBytesMax` and one more message
/// that is being handed over; incomplete ones: `largePartialBytesMax` and one more, `smallPartialBytesMax`
/// and `ReceiveBudget`'s few privileged ones; and `callBytesMax` for the calls themselves. All of it is
/// counted at sockets that `listen` serves; what comes by a Unix socket is trusted.
package struct GRPCServerConfiguration: Sendable {
    /// Accepted up to exactly this; one byte more is `RESOURCE_EXHAUSTED`.
    package var messageBytesMax = Limits.messageBytesMax
    /// Of a message that announces more nothing is received; the core itself refuses one in between, of
    /// which it has to see all.
    package var announcedBytesMax = Limits.announcedBytesMax
    /// A connection with more of incomplete messages counts as large.
    package var smallMessageBytesMax = Limits.smallMessageBytesMax
    /// Bytes of incomplete messages on connections that are not large; at this, those wait unread.
    package var smallPartialBytesMax = Limits.smallPartialBytesMax
    /// The same of those that are large.
    package var largePartialBytesMax = Limits.largePartialBytesMax
    /// Where others wait, who brings less of a message in a second is refused.
    package var uploadBytesPerSecondMin = Limits.uploadBytesPerSecondMin
    /// Time in which a connection has to bring something of a unary message; then `DEADLINE_EXCEEDED`.
    package var receiveSeconds = Double(Limits.receiveSeconds)
    /// Time for a whole message of a method of lane `.control`.
    package var controlReceiveSeconds = 5.0
    /// Bytes of messages handed to the handler and not yet answered, from which on connections that send
    /// batches are not read.
    package var heldBytesMax = Limits.heldBytesMax
    /// The same for large ones: what is between is left to small calls.
    package var heldLargeBytesMax = Limits.heldLargeBytesMax
    /// What an open call costs, beside its message; counts as held once its message is there.
    package var callBytes = Limits.callBytes
    /// Memory of open calls; beyond it, the connections with the most and oldest of them give way.
    package var callBytesMax = Limits.callBytesMax
    /// Calls of one connection that the server has not taken from the core; beyond it, it is not read.
    package var untakenCallsMax = Limits.untakenCallsMax
    /// One header block. Far above what `metadataBytesMax` allows, which the core answers.
    package var headerBlockBytesMax = Limits.headerBlockBytesMax
    /// Frames of one connection that carry nothing (resets, pings, settings…): so many at once, and so
    /// many a second; one more ends it.
    package var idleFramesBurst = Limits.idleFramesBurst
    package var idleFramesPerSecond = Limits.idleFramesPerSecond
    /// Open streams; one more ends one that listens in vain, or is `RESOURCE_EXHAUSTED`.
    package var openStreamsMax = 1_024
    /// A stream that has listened in vain for longer makes room for another one.
    package var idleStreamSeconds = 30.0
    /// Unsent bytes of one stream, above which `GRPCStream.send` refuses.
    package var streamSendBytesMax = 4 << 20
    /// The same of all streams, above which one with more than `streamSendShareBytes` is refused.
    package var sendBytesMax = Limits.streamSendBytesMax
    package var streamSendShareBytes = Limits.streamSendShareBytes
    package var metadataBytesMax = Limits.metadataBytesMax
    package var streamsPerConnectionMax = Limits.streamsPerConnectionMax
    /// Clients may ping this often; the third ping that comes sooner ends the connection.
    package var pingIntervalSecondsMin = 1.0
    /// Silence after which the server asks whether the client is still there.
    package var keepaliveSeconds = 300.0
    /// Long, as ending a connection means `UNAVAILABLE` to an agent that was only stopped for a while.
    package var keepaliveTimeoutSeconds = 300.0
    /// A connection whose client does not begin to speak HTTP/2 is closed after this.
    package var handshakeSeconds = 10.0
    /// Open connections, where the process may have so many descriptors; near that, those idle for longest give way; more
    /// wait unaccepted.
    package var connectionsMax = Limits.grpcConnectionsMax
    /// Idle connections of one address that don't count as many then.
    package var idlePerHostMax = Limits.grpcIdlePerHostMax
    package var pollers = 1
    /// Go with every `RESOURCE_EXHAUSTED` that the server answers by itself.
    package var exhaustedTrailers: [GRPCTrailer] = []

    package init() {}
}
