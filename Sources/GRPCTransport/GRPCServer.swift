internal import CGRPC
internal import Synchronization
package import TraceModel

/// A gRPC server over Debian's C core 1.51. Made, bound to one or more addresses, started, and in the
/// end `shutdown`, which must be called in every case.
@safe
package final class GRPCServer: @unchecked Sendable {
    private enum Phase {
        case configuring
        case serving
        case stopping
        case stopped
    }

    /// Calls the core may hand over before a poller has armed again.
    private static let slotCount = 64

    let configuration: GRPCServerConfiguration
    let methods: MethodTable
    let handler: any GRPCServerHandler
    let pointer: OpaquePointer
    let queue: CompletionQueue
    let held: HeldBytes
    let streamGate: ReceiveGate
    private let ingestGate: ReceiveGate
    private let controlGate: ReceiveGate
    private let openStreams = Atomic<Int>(0)
    private let phase = Mutex(Phase.configuring)

    /// Keeps the handler until it goes itself. `methods` should begin with the one called most.
    package init(
        configuration: GRPCServerConfiguration,
        methods: [GRPCMethod],
        handler: any GRPCServerHandler
    ) {
        GRPCLibrary.initialize()
        self.configuration = configuration
        self.methods = MethodTable(methods)
        self.handler = handler
        let held = HeldBytes(limit: configuration.heldBytesMax)
        self.held = held
        let ingest = ReceiveGate(
            armedMax: configuration.concurrentReceivesMax,
            waitingMax: configuration.queuedCallsMax,
            armedSeconds: configuration.receiveSeconds,
            waitingSeconds: configuration.queueSeconds,
            held: held
        )
        let control = ReceiveGate(
            armedMax: configuration.controlReceivesMax,
            waitingMax: configuration.queuedCallsMax,
            armedSeconds: configuration.controlReceiveSeconds,
            waitingSeconds: configuration.queueSeconds,
            held: nil
        )
        // A stream may be silent for long; a client that is gone shows by its missing keepalive.
        let stream = ReceiveGate(
            armedMax: configuration.streamReceivesMax,
            waitingMax: configuration.queuedCallsMax,
            armedSeconds: configuration.idleStreamSeconds,
            waitingSeconds: configuration.queueSeconds,
            yieldsOnlyToOthers: true,
            held: held
        )
        ingestGate = ingest
        controlGate = control
        streamGate = stream
        let created = unsafe Self.arguments(configuration).withC {
            unsafe grpc_server_create($0, nil)
        }
        guard let created = unsafe created else { preconditionFailure("grpc_server_create") }
        unsafe pointer = created
        queue = CompletionQueue(name: "grpc", pollers: configuration.pollers) { now in
            ingest.sweep(now: now)
            control.sweep(now: now)
            stream.sweep(now: now)
        }
        unsafe grpc_server_register_completion_queue(pointer, queue.pointer, nil)
    }

    deinit {
        phase.withLock { precondition($0 == .stopped, "a server needs its shutdown") }
        unsafe grpc_server_destroy(pointer)
    }

    /// Listens on `127.0.0.1:50051` (port 0: any free one) or `unix:run/admin.sock`. Before `start`.
    /// Returns the port, 0 for a Unix socket. Throws where the address is taken or wrong.
    @discardableResult
    package func bind(_ address: String) throws(TraceError) -> Int {
        phase.withLock { precondition($0 == .configuring, "bind before start") }
        let credentials = unsafe grpc_insecure_server_credentials_create()
        defer { unsafe grpc_server_credentials_release(credentials) }
        let port = unsafe grpc_server_add_http2_port(pointer, address, credentials)
        guard port > 0 else {
            let reason = GRPCLibrary.lastMessage.withLock { $0 }
            let isTaken = reason.contains("Address already in use")
            throw TraceError(
                .configuration,
                "cannot listen on \(address): \(isTaken ? "the address is in use" : reason)",
                remedy: isTaken ? "Stop the process that has it, or choose another port" : nil
            )
        }
        return PeerAddress.isLocalSocket(address) ? 0 : Int(port)
    }

    /// Begins to take calls.
    package func start() {
        phase.withLock { phase in
            precondition(phase == .configuring, "started twice")
            phase = .serving
        }
        unsafe grpc_server_start(pointer)
        for _ in 0..<Self.slotCount { _ = RequestSlot(server: self).arm() }
    }

    /// Takes no more calls, lets those in flight finish for `deadlineSeconds`, cancels the rest, and
    /// returns when nothing of the server runs any more. Blocks; not on a poller thread, once only.
    package func shutdown(deadlineSeconds: Double) {
        phase.withLock { phase in
            precondition(phase == .configuring || phase == .serving, "shut down twice")
            phase = .stopping
        }
        let quiet = ShutdownNotice()
        let isStarted = unsafe queue.start(quiet, .shutdown) { tag in
            unsafe grpc_server_shutdown_and_notify(pointer, queue.pointer, tag)
            return GRPC_CALL_OK
        }
        precondition(isStarted)
        if !quiet.isGiven.wait(seconds: deadlineSeconds, until: { $0 }) {
            unsafe grpc_server_cancel_all_calls(pointer)
            quiet.isGiven.wait(until: { $0 }, then: { _ in })
        }
        queue.close()
        // What waits there holds this server.
        for gate in [ingestGate, controlGate, streamGate] { gate.removeAll() }
        phase.withLock { $0 = .stopped }
    }

    /// Bytes of messages the handler has and has not yet answered.
    package var heldBytes: Int { held.current }

    /// Operations of the core not yet complete; for tests and metrics.
    package var outstandingTags: Int { queue.outstandingTags }

    // MARK: For the calls

    /// Takes a new call; nil stands for a method the server doesn't offer.
    func accept(_ call: consuming CallHandle, method: Int?) {
        guard let method else {
            let answer = Answer(status: .unimplemented, message: "unknown method", trailers: [])
            GRPCUnaryCall(server: self, gate: controlGate, method: -1, call: call).refuse(
                answer,
                nil
            )
            return
        }
        switch methods.methods[method].kind {
        case .unary:
            let gate = methods.methods[method].lane == .ingest ? ingestGate : controlGate
            let call = GRPCUnaryCall(server: self, gate: gate, method: method, call: call)
            if gate.enter(call) { return }
            call.refuse(exhausted("too many calls at once"), .queueFull)
        case .stream:
            accept(stream: call, method: method)
        }
    }

    private func accept(stream call: consuming CallHandle, method: Int) {
        let open = openStreams.add(1, ordering: .relaxed).newValue
        guard open <= configuration.openStreamsMax else {
            openStreams.subtract(1, ordering: .relaxed)
            GRPCUnaryCall(server: self, gate: controlGate, method: method, call: call)
                .refuse(exhausted("too many streams"), .queueFull)
            return
        }
        if !GRPCStream(server: self, method: method, call: call).open() { streamClosed() }
    }

    func streamClosed() { openStreams.subtract(1, ordering: .relaxed) }

    func exhausted(_ message: String) -> Answer {
        Answer(
            status: .resourceExhausted,
            message: message,
            trailers: configuration.exhaustedTrailers
        )
    }

    func giveBack(_ bytes: Int) {
        guard held.giveBack(bytes) else { return }
        ingestGate.pump()
        streamGate.pump()
    }

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

/// Told when a server has no more calls.
private final class ShutdownNotice: CompletionOwner {
    let isGiven = Monitor(false)

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        isGiven.update { $0 = true }
    }
}
