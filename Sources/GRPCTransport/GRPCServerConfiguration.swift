internal import TraceModel

/// The bounds of a gRPC server. What one costs in memory at most: (`concurrentReceivesMax` +
/// `controlReceivesMax` + `streamReceivesMax`) × `messageBytesMax` + `heldBytesMax`, and one window of
/// 64 KiB for each call not yet receiving.
package struct GRPCServerConfiguration: Sendable {
    /// Accepted up to exactly this; one byte more is `RESOURCE_EXHAUSTED`.
    package var messageBytesMax = Limits.messageBytesMax
    /// Messages of ordinary unary calls arriving at once; others wait in the order they came.
    package var concurrentReceivesMax = Limits.concurrentReceivesMax
    /// The same for methods of lane `.control`, which therefore get through beside stalled uploads.
    package var controlReceivesMax = 2
    /// Streams listening for their next message at once; others wait in the order they came.
    package var streamReceivesMax = Limits.streamReceivesMax
    /// A stream that has listened in vain for longer ends in `RESOURCE_EXHAUSTED` if another waits.
    package var idleStreamSeconds = 30.0
    /// Time for a unary message to arrive once its receive is armed; then `DEADLINE_EXCEEDED`.
    package var receiveSeconds = Double(Limits.receiveSeconds)
    package var controlReceiveSeconds = 5.0
    /// How long a call waits for its turn to receive; then `RESOURCE_EXHAUSTED`.
    package var queueSeconds = Double(Limits.callHoldSeconds)
    /// Calls waiting for their turn, a lane; one more is `RESOURCE_EXHAUSTED` at once.
    package var queuedCallsMax = 4_096
    /// Bytes of messages handed to the handler and not yet answered, above which no receive of the
    /// lanes `.ingest` and `.stream` is armed.
    package var heldBytesMax = Limits.heldBytesMax
    /// Open streams; one more is `RESOURCE_EXHAUSTED`.
    package var openStreamsMax = 1_024
    /// Unsent bytes of one stream, above which `GRPCStream.send` refuses.
    package var streamSendBytesMax = 4 << 20
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
    /// Open connections; more wait unaccepted.
    package var connectionsMax = Limits.grpcConnectionsMax
    package var pollers = 1
    /// Go with every `RESOURCE_EXHAUSTED` that the server answers by itself.
    package var exhaustedTrailers: [GRPCTrailer] = []

    package init() {}
}
