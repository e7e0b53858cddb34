internal import CGRPC
internal import Glibc
internal import Synchronization
package import SystemIO
package import TraceModel

/// A gRPC server over Debian's C core 1.51. Made, bound to one or more addresses, started, and in the
/// end `shutdown`, which must be called in every case.
@safe package final class GRPCServer: @unchecked Sendable {
    private enum Phase {
        case configuring
        case serving
        case stopping
        case stopped
    }

    /// Calls the core may hand over before a poller has armed again.
    private static let slotCount = 64

    /// Longer than a client that is busy takes from one call to the next.
    private static let withholdingMicroseconds: UInt32 = 25_000

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
    /// Memory of messages that streams have to send and the network has not taken.
    let unsent = Atomic<Int>(0)
    private let streams = Mutex(OpenStreams())
    private let acceptor = Mutex<ConnectionAcceptor?>(nil)
    private let phase = Mutex(Phase.configuring)
    /// What the pollers know this server by, from its start to its end.
    private let server: ServerReference

    /// Keeps the handler until it goes itself. `methods` should begin with the one called most.
    package init(configuration: GRPCServerConfiguration, methods: [GRPCMethod], handler: any GRPCServerHandler) {
        GRPCLibrary.initialize()
        let descriptors = DescriptorLimit.raise(to: 65_536)
        var configuration = configuration
        // Who comes beyond waits in the sockets' queues, where it could only be closed otherwise.
        configuration.connectionsMax = min(
            configuration.connectionsMax, PeerTable.numbers(descriptors: descriptors).count)
        self.configuration = configuration
        self.methods = MethodTable(methods)
        self.handler = handler
        meters = SocketMeters(configuration)
        peers = PeerTable(meters, descriptors: descriptors)
        upkeep = Mutex(Upkeep(budget: ReceiveBudget(configuration)))
        let created = unsafe Self.arguments(configuration).withC { unsafe grpc_server_create($0, nil) }
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
        phase.withLock { precondition($0 == .stopped, "a server needs its shutdown") }
        unsafe grpc_server_destroy(pointer)
    }

    /// Listens on `127.0.0.1:50051` (port 0: any free one) or `unix:run/admin.sock`. Before `start`.
    /// Returns the port, 0 for a Unix socket. Throws where the address is taken or wrong.
    @discardableResult package func bind(_ address: String) throws(TraceError) -> Int {
        if PeerAddress.isLocalSocket(address) {
            try bindLocal(address)
            return 0
        }
        return try listen(on: address).first?.port ?? 0
    }

    /// Accepts connections on `127.0.0.1:50051`. Before `start`, once only.
    package func listen(on address: String) throws(TraceError) -> [ListeningSocket] {
        do throws(SystemError) {
            let sockets = try ListeningSocket.bind(address)
            try listen(on: sockets)
            return sockets
        } catch { throw Self.cannotListen(on: address, "\(error)", isTaken: error.isAddressTaken) }
    }

    /// Accepts connections on these sockets. Before `start`, once only.
    package func listen(on sockets: [ListeningSocket]) throws(SystemError) {
        phase.withLock { precondition($0 == .configuring, "listen before start") }
        let created = try ConnectionAcceptor(
            sockets: sockets, peers: peers, configuration: configuration,
            adopt: { [unowned self] descriptor in
                let credentials = unsafe grpc_insecure_server_credentials_create()
                unsafe grpc_server_add_channel_from_fd(pointer, descriptor, credentials)
                unsafe grpc_server_credentials_release(credentials)
            }, endedSilent: { [unowned self] in handler.closed(.silent) })
        acceptor.withLock { acceptor in
            precondition(acceptor == nil, "listens already")
            acceptor = created
        }
    }

    /// Connections that are served at once: fewer than configured where the process may not have enough descriptors.
    package var connectionsMax: Int { configuration.connectionsMax }

    /// Whether all places were taken at some moment since this was last asked, so that who connected had to wait.
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

    private static func cannotListen(on address: String, _ reason: String, isTaken: Bool) -> TraceError {
        TraceError(
            .configuration, "cannot listen on \(address): \(isTaken ? "the address is in use" : reason)",
            remedy: isTaken ? takenRemedy(address) : nil)
    }

    private static func takenRemedy(_ address: String) -> String {
        guard let port = address.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            return "Stop the process that has it"
        }
        return PortHolder.remedy(port: port, option: "--grpc")
    }

    /// Begins to take calls.
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

    /// Takes no more connections, sends the clients of those it has elsewhere, answers what they still
    /// send until each has gone, cancels what is left after `deadlineSeconds`, and returns when nothing
    /// of the server runs any more. Blocks; not on a poller thread, once only.
    ///
    /// Every connection that was accepted gets its GOAWAY in two steps (RFC 9113, 6.8), and the server
    /// takes calls until the second is out: no call fails that arrives before the deadline.
    package func shutdown(deadlineSeconds: Double) {
        let deadline = WallClock.monotonic() + Int64(deadlineSeconds * 1e9)
        let wasServing = phase.withLock { phase in
            precondition(phase == .configuring || phase == .serving, "shut down twice")
            defer { phase = .stopping }
            return phase == .serving
        }
        // Taken out, as it holds this server only as long as its thread runs.
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
        // What is left there holds this server.
        receiving.removeAll()
        server.value.withLock { $0 = nil }
        phase.withLock { $0 = .stopped }
    }

    /// Sends all clients elsewhere and waits until their connections are closed.
    private func emptyConnections(before deadline: Int64) {
        withheld.begin()
        // Who calls all the time waits for an answer then.
        usleep(Self.withholdingMicroseconds)
        let isSent = unsafe trace_grpc_server_send_goaways(pointer) != 0
        // The client's core has taken note when the answer comes.
        if isSent { usleep(Self.withholdingMicroseconds) }
        withheld.end()
        guard isSent else { return }
        endStreams()
        while peers.openCount(now: WallClock.monotonic()) > 0, WallClock.monotonic() < deadline { usleep(2_000) }
    }

    /// After the announcement, so that a client does not open its next stream here again. Apart from the
    /// waiting, as a connection is not closed as long as anybody holds a call of it.
    private func endStreams() {
        let open = streams.withLock { streams in
            streams.isEnding = true
            return Array(streams.open.values)
        }
        for (stream, method) in open { handler.streamEnding(stream, method: method) }
    }

    /// Bytes of messages the handler has and has not yet answered.
    package var heldBytes: Int { meters.heldBytes }

    /// Operations of the core not yet complete; for tests and metrics.
    package var outstandingTags: Int { queue.outstandingTags }

    // MARK: For the calls

    /// Takes a new call; nil stands for a method the server doesn't offer.
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
            let seconds = isIngest ? configuration.receiveSeconds : configuration.controlReceiveSeconds
            GRPCUnaryCall(server: self, method: method, call: call, descriptor: descriptor).receive(
                seconds: seconds, isExtended: isIngest)
        case .stream: accept(stream: call, method: method, descriptor: descriptor)
        }
    }

    private func accept(stream call: consuming CallHandle, method: Int, descriptor: Int32) {
        guard hasRoomForStream(of: descriptor) else {
            GRPCUnaryCall(server: self, method: method, call: call, descriptor: descriptor).refuse(
                exhausted("too many streams"), .queueFull)
            return
        }
        let stream = GRPCStream(server: self, method: method, call: call, descriptor: descriptor)
        streams.withLock { $0.open[ObjectIdentifier(stream)] = (stream, method) }
        guard stream.open() else { return streamClosed(stream) }
        if streams.withLock({ $0.isEnding }) { handler.streamEnding(stream, method: method) }
    }

    /// Ends another stream for it, where that has to be.
    private func hasRoomForStream(of descriptor: Int32) -> Bool {
        let (count, open) = streams.withLock { streams in
            let count = streams.open.count
            return (count, count < configuration.openStreamsMax ? [] : Array(streams.open.values))
        }
        if count < configuration.openStreamsMax { return true }
        // Those that end stay open until their clients have heard of it.
        guard count < 2 * configuration.openStreamsMax,
            let victim = streamToEnd(for: descriptor, among: open.map(\.stream), now: WallClock.monotonic())
        else { return false }
        victim.giveWay(exhausted("too many streams, and this one idle for longest"), .idleStream)
        return true
    }

    /// Whether a stream with so many unsent bytes may have more to send.
    func mayQueue(_ bytes: Int, beside unsentBytes: Int) -> Bool {
        guard unsentBytes + bytes <= configuration.streamSendBytesMax else { return false }
        return unsentBytes + bytes <= configuration.streamSendShareBytes
            || unsent.load(ordering: .relaxed) < configuration.sendBytesMax
    }

    /// The open streams of one connection.
    func streams(of descriptor: Int32) -> [GRPCStream] {
        streams.withLock { streams in streams.open.values.filter { $0.stream.descriptor == descriptor }.map(\.stream) }
    }

    func streamClosed(_ stream: GRPCStream) { streams.withLock { $0.open[ObjectIdentifier(stream)] = nil } }

    func exhausted(_ message: String) -> Answer {
        Answer(status: .resourceExhausted, message: message, trailers: configuration.exhaustedTrailers)
    }

    /// The handler gets a message of so many bytes.
    func take(_ bytes: Int) { meters.take(bytes) }

    /// It has answered one.
    func giveBack(_ bytes: Int) { if meters.giveBack(bytes) { madeRoom() } }

    private static func arguments(_ configuration: GRPCServerConfiguration) -> ChannelArguments {
        var arguments = ChannelArguments()
        arguments.set(GRPC_ARG_ALLOW_REUSEPORT, 0)
        arguments.set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, configuration.messageBytesMax)
        arguments.set(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1)
        arguments.set(GRPC_ARG_MAX_METADATA_SIZE, configuration.metadataBytesMax)
        arguments.set(GRPC_ARG_MAX_CONCURRENT_STREAMS, configuration.streamsPerConnectionMax)
        // Bit 0 is "identity": a few kilobytes of gzip unpack to gigabytes past any limit.
        arguments.set(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1)
        // A window grown by bandwidth probes would let calls without an armed receive buffer more.
        arguments.set(GRPC_ARG_HTTP2_BDP_PROBE, 0)
        arguments.set(
            GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, Int(configuration.pingIntervalSecondsMin * 1_000))
        arguments.set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1)
        arguments.set(GRPC_ARG_KEEPALIVE_TIME_MS, Int(configuration.keepaliveSeconds * 1_000))
        arguments.set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Int(configuration.keepaliveTimeoutSeconds * 1_000))
        arguments.set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Int(configuration.handshakeSeconds * 1_000))
        arguments.set(GRPC_ARG_ENABLE_CHANNELZ, 0)
        return arguments
    }
}

/// Lets go of the server when that ends, which the pollers' closures could not.
private final class ServerReference: Sendable { let value = Mutex<GRPCServer?>(nil) }

private struct OpenStreams {
    var open: [ObjectIdentifier: (stream: GRPCStream, method: Int)] = [:]
    /// The server ends: a stream that still opens has to end too.
    var isEnding = false
}

/// Told when a server has no more calls.
private final class ShutdownNotice: CompletionOwner {
    let isGiven = Monitor(false)

    func completed(_ operation: CompletionTag.Operation, success: Bool) { isGiven.update { $0 = true } }
}
