internal import CGRPC
internal import Synchronization

/// An error status with which the server or the transport ended a call.
package struct GRPCCallError: Error, CustomStringConvertible, Sendable {
    package let status: GRPCStatus
    package let message: String
    /// Contents of `grpc-status-details-bin`, a serialized google.rpc.Status; empty if the server sent none.
    package let details: [UInt8]

    package init(status: GRPCStatus, message: String, details: [UInt8] = []) {
        self.status = status
        self.message = message
        self.details = details
    }

    package var description: String { "\(status) (\(status.rawValue)): \(message)" }
}

/// Memory that the core writes a client call's results to. Its address is stable.
@safe final class ClientCells: @unchecked Sendable {
    let pointer = UnsafeMutablePointer<trace_grpc_client_cells>.allocate(capacity: 1)

    init() { unsafe trace_grpc_client_cells_init(pointer) }

    deinit {
        unsafe trace_grpc_client_cells_destroy(pointer)
        unsafe pointer.deallocate()
    }

    /// Takes the message out; nil if none came.
    func takeMessage() -> [UInt8]? {
        guard let buffer = unsafe pointer.pointee.message else { return nil }
        unsafe pointer.pointee.message = nil
        return unsafe ReceivedMessage(takingOwnership: buffer).bytes()
    }

    /// Returns the status as an error, nil for OK. Valid only after the status has arrived.
    func error() -> GRPCCallError? {
        let code = unsafe pointer.pointee.status
        if code == GRPC_STATUS_OK { return nil }
        let status = GRPCStatus(rawValue: code.rawValue) ?? .unknown
        let message = unsafe String(decoding: Self.bytes(&pointer.pointee.details), as: UTF8.self)
        let trailer = unsafe trace_grpc_trailer(pointer, "grpc-status-details-bin")
        return unsafe GRPCCallError(
            status: status,
            message: message,
            details: trailer.map { unsafe Self.bytes($0) } ?? []
        )
    }

    private static func bytes(_ slice: UnsafePointer<grpc_slice>) -> [UInt8] {
        unsafe Array(
            UnsafeRawBufferPointer(
                start: trace_grpc_slice_start(slice),
                count: trace_grpc_slice_length(slice)
            )
        )
    }
}

/// One unary call in flight.
final class ClientUnaryCall: CompletionOwner, ClientCall {
    private let client: GRPCClient
    private let call: CallHandle
    private let cells = ClientCells()
    private let completion: @Sendable (Result<[UInt8], GRPCCallError>) -> Void

    init(
        client: GRPCClient,
        call: consuming CallHandle,
        completion: @escaping @Sendable (Result<[UInt8], GRPCCallError>) -> Void
    ) {
        self.client = client
        self.call = call
        self.completion = completion
    }

    /// Sends the request. Returns false if nothing was sent; no completion follows then.
    func start(_ request: [UInt8], on queue: CompletionQueue) -> Bool {
        unsafe queue.start(self, .answer) { tag in
            unsafe request.withUnsafeBytes { bytes in
                unsafe GRPCTrailer.withC(client.headers) { pairs, pairCount in
                    unsafe trace_grpc_client_unary(
                        call.pointer,
                        bytes.baseAddress,
                        bytes.count,
                        pairs,
                        pairCount,
                        cells.pointer,
                        tag
                    )
                }
            }
        }
    }

    func cancel() { call.cancel() }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        client.forget(self)
        if let error = cells.error() {
            completion(.failure(error))
        } else if let message = cells.takeMessage() {
            completion(.success(message))
        } else {
            completion(
                .failure(GRPCCallError(status: .internal, message: "the answer has no message"))
            )
        }
    }
}

/// A connection to a gRPC server, for tools and benchmarks. The owner must call `close`.
@safe package final class GRPCClient: @unchecked Sendable {
    private enum Phase {
        case open([ObjectIdentifier: any ClientCall])
        case closed
    }

    private let channel: OpaquePointer
    /// What precedes each request.
    let headers: [GRPCTrailer]
    private let queue: CompletionQueue
    private let phase = Mutex(Phase.open([:]))

    /// Creates a client for a target such as `127.0.0.1:50051` or `unix:run/admin.sock`. It connects at the first call,
    /// by TLS if there is `security`.
    package init(
        target: String,
        security: GRPCClientSecurity? = nil,
        headers: [GRPCTrailer] = []
    ) {
        self.headers = headers
        queue = CompletionQueue(name: "grpc-client", pollers: 1) { _ in }
        var arguments = ChannelArguments()
        arguments.set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1)
        arguments.set(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1)
        // Only the caller knows whether a batch may be sent again, so the client takes no retry policy from a service
        // config. The core still restarts a call that had not left it when the server went away.
        arguments.set(GRPC_ARG_ENABLE_HTTP_PROXY, 0)
        // Two clients of one process do not share a connection.
        arguments.set(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1)
        arguments.set(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1)
        let credentials =
            unsafe security.map { unsafe $0.credentials() } ?? grpc_insecure_credentials_create()
        defer { unsafe grpc_channel_credentials_release(credentials) }
        let created = unsafe arguments.withC { unsafe grpc_channel_create(target, credentials, $0) }
        guard let created = unsafe created else { preconditionFailure("grpc_channel_create") }
        unsafe channel = created
    }

    deinit {
        phase.withLock { phase in
            guard case .closed = phase else { preconditionFailure("the client was not closed") }
        }
        unsafe grpc_channel_destroy(channel)
    }

    /// Cancels all calls in flight and waits for their completions. Blocks; must not be called within a completion.
    /// Idempotent.
    package func close() {
        let calls = phase.withLock { phase -> [any ClientCall]? in
            guard case .open(let calls) = phase else { return nil }
            phase = .closed
            return Array(calls.values)
        }
        guard let calls else { return }
        for call in calls { call.cancel() }
        queue.close()
    }

    /// Calls a unary method and blocks until the answer arrives. Must not be called within a completion.
    package func unary(
        _ path: String,
        _ request: [UInt8],
        timeoutSeconds: Double
    ) throws(GRPCCallError) -> [UInt8] {
        let answer = Monitor<Result<[UInt8], GRPCCallError>?>(nil)
        start(path, request, timeoutSeconds: timeoutSeconds) { result in
            answer.update { $0 = result }
        }
        let result = answer.wait(until: { $0 != nil }, then: { $0 })
        guard let result else { preconditionFailure("the answer is missing") }
        return try result.get()
    }

    /// Calls a unary method asynchronously. `completion` runs on the client's poller thread and must not block.
    package func start(
        _ path: String,
        _ request: [UInt8],
        timeoutSeconds: Double,
        completion: @escaping @Sendable (Result<[UInt8], GRPCCallError>) -> Void
    ) {
        guard let handle = makeCall(path, timeoutSeconds: timeoutSeconds) else {
            completion(.failure(Self.closedError))
            return
        }
        let call = ClientUnaryCall(client: self, call: handle, completion: completion)
        register(call)
        if call.start(request, on: queue) { return }
        forget(call)
        completion(.failure(Self.closedError))
    }

    /// Opens a bidirectional stream. `timeoutSeconds` limits the stream's whole lifetime.
    package func openStream(
        _ path: String,
        timeoutSeconds: Double? = nil
    ) throws(GRPCCallError) -> GRPCClientStream {
        guard let handle = makeCall(path, timeoutSeconds: timeoutSeconds) else {
            throw Self.closedError
        }
        let stream = GRPCClientStream(client: self, queue: queue, call: handle)
        register(stream)
        guard stream.open() else {
            forget(stream)
            throw Self.closedError
        }
        return stream
    }

    /// Removes a completed call from those that `close` cancels.
    func forget(_ call: any ClientCall) {
        phase.withLock { phase in
            guard case .open(var calls) = phase else { return }
            phase = .closed
            calls[ObjectIdentifier(call)] = nil
            phase = .open(calls)
        }
    }

    private static let closedError = GRPCCallError(
        status: .cancelled,
        message: "the client is closed"
    )

    /// Registers a call for `close`; cancels it at once if the client is closed already.
    private func register(_ call: any ClientCall) {
        let isOpen = phase.withLock { phase in
            guard case .open(var calls) = phase else { return false }
            // Moved out first so that the dictionary is changed in place.
            phase = .closed
            calls[ObjectIdentifier(call)] = call
            phase = .open(calls)
            return true
        }
        if !isOpen { call.cancel() }
    }

    private func makeCall(_ path: String, timeoutSeconds: Double?) -> CallHandle? {
        let milliseconds = timeoutSeconds.map { Int64($0 * 1_000) } ?? -1
        let call = unsafe trace_grpc_call_create(channel, queue.pointer, path, milliseconds)
        return unsafe call.map { unsafe CallHandle(takingOwnership: $0) }
    }
}

/// A call in flight that `GRPCClient.close` can cancel.
protocol ClientCall: AnyObject, Sendable { func cancel() }
