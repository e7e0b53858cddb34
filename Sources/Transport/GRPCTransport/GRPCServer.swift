internal import CGRPC
internal import Glibc
internal import Synchronization
package import SystemIO
package import TraceModel

/// A gRPC server over the C core, version 1.51 as Debian ships it. Life cycle: initialise, bind to one or more
/// addresses, `start`, `shutdown`. The owner must call `shutdown`, even if the server was never started.
@safe package final class GRPCServer: @unchecked Sendable {
    private enum Phase {
        case configuring
        case serving
        case stopping
        case stopped
    }

    /// Requests that are armed at once: calls the core can hand over before a poller arms the next one.
    private static let slotCount = 64

    /// Longer than a busy client takes between receiving an answer and starting its next call.
    private static let withholdingMicroseconds: UInt32 = 25_000
    /// Longer than HAProxy takes to read an answer.
    private static let proxyQuietNanoseconds: Int64 = 100_000_000

    let configuration: GRPCServerConfiguration
    let methods: MethodTable
    let handler: any GRPCServerHandler
    let pointer: OpaquePointer
    let queue: CompletionQueue
    let meters: SocketMeters
    let peers: PeerTable
    let receiving = ReceivingCalls()
    let upkeep: Mutex<Upkeep>
    let withheld = WithheldAnswers()
    /// Bytes queued by `GRPCStream.send` that the network has not taken yet, of all streams.
    let unsent = Atomic<Int>(0)
    private let streams = Mutex(OpenStreams())
    private let acceptor = Mutex<ConnectionAcceptor?>(nil)
    private let phase = Mutex(Phase.configuring)
    /// Weak link from the pollers' closures to this server.
    private let server: ServerReference

    /// Creates a server that retains `handler` until it is deinitialised. `methods` should begin with the one called
    /// most.
    package init(
        configuration: GRPCServerConfiguration,
        methods: [GRPCMethod],
        handler: any GRPCServerHandler
    ) {
        GRPCLibrary.initialize()
        let descriptors = DescriptorLimit.raise(to: 65_536)
        var configuration = configuration
        // Further clients wait in the listening sockets' queues; accepting them would only mean closing them.
        configuration.connectionsMax = min(
            configuration.connectionsMax,
            PeerTable.numbers(descriptors: descriptors).count
        )
        self.configuration = configuration
        self.methods = MethodTable(methods)
        self.handler = handler
        meters = SocketMeters(configuration)
        peers = PeerTable(meters, descriptors: descriptors)
        upkeep = Mutex(Upkeep(budget: ReceiveBudget(configuration)))
        let created = unsafe Self.arguments(configuration).withC {
            unsafe grpc_server_create($0, nil)
        }
        guard let created = unsafe created else { preconditionFailure("grpc_server_create") }
        unsafe pointer = created
        let server = ServerReference()
        queue = CompletionQueue(name: "grpc", pollers: configuration.pollers) { now in
            server.value.withLock { $0 }?.keepBounds(now: now)
        }
        self.server = server
        unsafe grpc_server_register_completion_queue(pointer, queue.pointer, nil)
    }

    deinit {
        phase.withLock { precondition($0 == .stopped, "the server was not shut down") }
        unsafe grpc_server_destroy(pointer)
    }

    /// Listens on `127.0.0.1:50051` (port 0 picks a free one) or `unix:run/admin.sock`. Must precede `start`. Returns
    /// the port, 0 for a Unix socket.
    ///
    /// - Throws: `TraceError` of kind `.configuration` if the address is in use or invalid.
    @discardableResult package func bind(_ address: String) throws(TraceError) -> Int {
        if PeerAddress.isLocalSocket(address) {
            try bindLocal(address)
            return 0
        }
        return try listen(on: address).first?.port ?? 0
    }

    /// Accepts connections on an address such as `127.0.0.1:50051`. Once only, before `start`.
    package func listen(on address: String) throws(TraceError) -> [ListeningSocket] {
        do throws(SystemError) {
            let sockets = try ListeningSocket.bind(address)
            try listen(on: sockets)
            return sockets
        } catch { throw Self.cannotListen(on: address, "\(error)", isTaken: error.isAddressTaken) }
    }

    /// Accepts connections on listening sockets. Once only, before `start`.
    package func listen(on sockets: [ListeningSocket]) throws(SystemError) {
        phase.withLock { precondition($0 == .configuring, "listen before start") }
        let created = try ConnectionAcceptor(
            sockets: sockets,
            peers: peers,
            configuration: configuration,
            adopt: { [unowned self] descriptor in
                let credentials = unsafe grpc_insecure_server_credentials_create()
                unsafe grpc_server_add_channel_from_fd(pointer, descriptor, credentials)
                unsafe grpc_server_credentials_release(credentials)
            },
            endedSilent: { [unowned self] in handler.closed(.silent) }
        )
        acceptor.withLock { acceptor in
            precondition(acceptor == nil, "listens already")
            acceptor = created
        }
    }

    /// Maximum number of connections served at once. Lower than configured if the process may not open enough
    /// descriptors.
    package var connectionsMax: Int { configuration.connectionsMax }

    /// Whether the server was at `connectionsMax` at any moment since the previous call. Clients had to wait then.
    package func takeFull() -> Bool { acceptor.withLock { $0?.takeFull() ?? false } }

    private func bindLocal(_ address: String) throws(TraceError) {
        phase.withLock { precondition($0 == .configuring, "bind before start") }
        let credentials = unsafe grpc_insecure_server_credentials_create()
        defer { unsafe grpc_server_credentials_release(credentials) }
        let port = unsafe grpc_server_add_http2_port(pointer, address, credentials)
        guard port > 0 else {
            let reason = GRPCLibrary.lastMessage.withLock { $0 }
            let isTaken = reason.contains("Address already in use")
            throw Self.cannotListen(on: address, reason, isTaken: isTaken)
        }
    }

    private static func cannotListen(
        on address: String,
        _ reason: String,
        isTaken: Bool
    ) -> TraceError {
        TraceError(
            .configuration,
            "cannot listen on \(address): \(isTaken ? "the address is in use" : reason)",
            remedy: isTaken ? takenRemedy(address) : nil
        )
    }

    private static func takenRemedy(_ address: String) -> String {
        guard let port = address.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            return "Stop the process that uses it"
        }
        return PortHolder.remedy(port: port, option: "--grpc")
    }

    /// Starts taking calls.
    package func start() {
        phase.withLock { phase in
            precondition(phase == .configuring, "started twice")
            phase = .serving
        }
        server.value.withLock { $0 = self }
        unsafe grpc_server_start(pointer)
        for _ in 0..<Self.slotCount { _ = RequestSlot(server: self).arm() }
        acceptor.withLock { $0?.start() }
    }

    /// Stops the server without failing calls that arrive before the deadline. Blocks; once only, not on a poller
    /// thread.
    ///
    /// It accepts no more connections, sends a GOAWAY on the open ones in two steps (RFC 9113, 6.8) and keeps serving
    /// their calls until each is closed. After `deadlineSeconds` it cancels what is left. When it returns, no thread of
    /// the server runs any more.
    package func shutdown(deadlineSeconds: Double) {
        let deadline = WallClock.monotonic() + Int64(deadlineSeconds * 1e9)
        let wasServing = phase.withLock { phase in
            precondition(phase == .configuring || phase == .serving, "shut down twice")
            defer { phase = .stopping }
            return phase == .serving
        }
        // Taken out because the acceptor keeps this server alive while its thread runs.
        let accepting = acceptor.withLock { acceptor in
            defer { acceptor = nil }
            return acceptor
        }
        if wasServing {
            accepting?.stop()
            emptyConnections(before: deadline)
        }
        let quiet = ShutdownNotice()
        let isStarted = unsafe queue.start(quiet, .shutdown) { tag in
            unsafe grpc_server_shutdown_and_notify(pointer, queue.pointer, tag)
            return GRPC_CALL_OK
        }
        precondition(isStarted)
        let left = Double(deadline - WallClock.monotonic()) / 1e9
        if !quiet.isGiven.wait(seconds: left, until: { $0 }) {
            unsafe grpc_server_cancel_all_calls(pointer)
            quiet.isGiven.wait(until: { $0 }, then: { _ in })
        }
        queue.close()
        peers.endMetering()
        // The remaining calls hold references to this server.
        receiving.removeAll()
        server.value.withLock { $0 = nil }
        phase.withLock { $0 = .stopped }
    }

    /// Sends a GOAWAY on all connections and waits until they are closed.
    private func emptyConnections(before deadline: Int64) {
        withheld.begin()
        // After this pause a client that calls continuously waits for a withheld answer.
        usleep(Self.withholdingMicroseconds)
        var unasked: Set<Int32> = []
        // After a GOAWAY of its own, the core closes a connection with the last answer. HAProxy 2.6 loses the trailers of an
        // answer that comes together with the end of its connection.
        let hasProxied = peers.hasProxied
        if GRPCLibrary.knowsCore, !hasProxied {
            unsafe trace_grpc_send_goaways(pointer)
        } else {
            unasked = peers.sendAway(peers.openDescriptors)
        }
        // The client's core has processed the GOAWAY by the time it gets the withheld answer.
        usleep(Self.withholdingMicroseconds)
        withheld.end()
        endStreams()
        while peers.openCount(now: WallClock.monotonic()) > 0, WallClock.monotonic() < deadline {
            usleep(2_000)
            unasked = peers.sendAway(unasked)
            guard hasProxied else { continue }
            peers.endProxied(quietFor: Self.proxyQuietNanoseconds, now: WallClock.monotonic())
        }
    }

    /// Asks the handler to end all streams. It comes after the GOAWAY so that a client does not reopen its stream on
    /// this connection. It is a function of its own because a connection is not closed while a local variable holds one
    /// of its calls.
    private func endStreams() {
        let open = streams.withLock { streams in
            streams.isEnding = true
            return Array(streams.open.values)
        }
        for (stream, method) in open { handler.streamEnding(stream, method: method) }
    }

    /// Bytes of messages that the handler has received and not answered yet.
    package var heldBytes: Int { meters.heldBytes }

    /// Operations of the core that are not complete yet; for tests and metrics.
    package var outstandingTags: Int { queue.outstandingTags }

    // MARK: Called by calls and streams

    /// Takes a new call; `method` is nil if the server does not offer the method.
    func accept(_ call: consuming CallHandle, method: Int?) {
        let descriptor = call.descriptor
        let isIngest = method.map { methods.methods[$0].lane == .ingest } ?? false
        meters.takeCall(descriptor, isIngest: isIngest)
        guard let method else {
            let answer = Answer(status: .unimplemented, message: "unknown method", trailers: [])
            GRPCUnaryCall(server: self, method: -1, call: call, descriptor: -1).refuse(answer, nil)
            return
        }
        switch methods.methods[method].kind {
        case .unary:
            let seconds =
                isIngest ? configuration.receiveSeconds : configuration.controlReceiveSeconds
            GRPCUnaryCall(server: self, method: method, call: call, descriptor: descriptor).receive(
                seconds: seconds,
                isExtended: isIngest
            )
        case .stream: accept(stream: call, method: method, descriptor: descriptor)
        }
    }

    private func accept(stream call: consuming CallHandle, method: Int, descriptor: Int32) {
        guard hasRoomForStream(of: descriptor) else {
            GRPCUnaryCall(server: self, method: method, call: call, descriptor: descriptor).refuse(
                exhausted("too many streams"),
                .queueFull
            )
            return
        }
        let stream = GRPCStream(server: self, method: method, call: call, descriptor: descriptor)
        streams.withLock { $0.open[ObjectIdentifier(stream)] = (stream, method) }
        guard stream.open() else { return streamClosed(stream) }
        if streams.withLock({ $0.isEnding }) { handler.streamEnding(stream, method: method) }
    }

    /// Returns whether a stream may open; ends another one for it at `openStreamsMax`.
    private func hasRoomForStream(of descriptor: Int32) -> Bool {
        let (count, open) = streams.withLock { streams in
            let count = streams.open.count
            return (count, count < configuration.openStreamsMax ? [] : Array(streams.open.values))
        }
        if count < configuration.openStreamsMax { return true }
        // Streams that are being ended count until their clients have received the status.
        guard count < 2 * configuration.openStreamsMax,
            let victim = streamToEnd(
                for: descriptor,
                among: open.map(\.stream),
                now: WallClock.monotonic()
            )
        else { return false }
        victim.evict(exhausted("too many streams, and this one idle for longest"), .idleStream)
        return true
    }

    /// Returns whether a stream with `unsentBytes` queued may queue `bytes` more.
    func mayQueue(_ bytes: Int, beside unsentBytes: Int) -> Bool {
        guard unsentBytes + bytes <= configuration.streamSendBytesMax else { return false }
        return unsentBytes + bytes <= configuration.streamSendShareBytes
            || unsent.load(ordering: .relaxed) < configuration.sendBytesMax
    }

    /// Returns the open streams of one connection.
    func streams(of descriptor: Int32) -> [GRPCStream] {
        streams.withLock { streams in
            streams.open.values.filter { $0.stream.descriptor == descriptor }.map(\.stream)
        }
    }

    /// Forgets a stream that has ended.
    func streamClosed(_ stream: GRPCStream) {
        streams.withLock { $0.open[ObjectIdentifier(stream)] = nil }
    }

    /// Makes a `RESOURCE_EXHAUSTED` answer with the configured trailers.
    func exhausted(_ message: String) -> Answer {
        Answer(
            status: .resourceExhausted,
            message: message,
            trailers: configuration.exhaustedTrailers
        )
    }

    /// Counts the bytes of a message that is passed to the handler.
    func take(_ bytes: Int) { meters.take(bytes) }

    /// Gives back the bytes of a message that was answered.
    func giveBack(_ bytes: Int) { if meters.giveBack(bytes) { roomFreed() } }

    private static func arguments(_ configuration: GRPCServerConfiguration) -> ChannelArguments {
        var arguments = ChannelArguments()
        arguments.set(GRPC_ARG_ALLOW_REUSEPORT, 0)
        arguments.set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, configuration.messageBytesMax)
        arguments.set(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1)
        arguments.set(GRPC_ARG_MAX_METADATA_SIZE, configuration.metadataBytesMax)
        arguments.set(GRPC_ARG_MAX_CONCURRENT_STREAMS, configuration.streamsPerConnectionMax)
        // Bit 0 is "identity". With gzip, a few kilobytes could expand to gigabytes beyond every limit.
        arguments.set(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1)
        // A flow-control window enlarged by bandwidth probes would let calls without a pending receive buffer more.
        arguments.set(GRPC_ARG_HTTP2_BDP_PROBE, 0)
        arguments.set(
            GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
            Int(configuration.pingIntervalSecondsMin * 1_000)
        )
        arguments.set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1)
        arguments.set(GRPC_ARG_KEEPALIVE_TIME_MS, Int(configuration.keepaliveSeconds * 1_000))
        arguments.set(
            GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
            Int(configuration.keepaliveTimeoutSeconds * 1_000)
        )
        arguments.set(
            GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
            Int(configuration.handshakeSeconds * 1_000)
        )
        arguments.set(GRPC_ARG_ENABLE_CHANNELZ, 0)
        return arguments
    }
}

/// Lets the pollers reach the server without keeping it alive.
private final class ServerReference: Sendable { let value = Mutex<GRPCServer?>(nil) }

/// The open streams with their methods.
private struct OpenStreams {
    var open: [ObjectIdentifier: (stream: GRPCStream, method: Int)] = [:]
    /// The server is stopping: a stream that opens now has to end too.
    var isEnding = false
}

/// Signals that the server has no more calls.
private final class ShutdownNotice: CompletionOwner {
    let isGiven = Monitor(false)

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        isGiven.update { $0 = true }
    }
}
