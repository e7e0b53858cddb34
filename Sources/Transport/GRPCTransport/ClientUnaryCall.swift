internal import CGRPC

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

    /// False: nothing was sent and no completion comes.
    func start(_ request: [UInt8], on queue: CompletionQueue) -> Bool {
        unsafe queue.start(self, .answer) { tag in
            unsafe request.withUnsafeBytes { bytes in
                unsafe trace_grpc_client_unary(
                    call.pointer,
                    bytes.baseAddress,
                    bytes.count,
                    cells.pointer,
                    tag
                )
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
                .failure(GRPCCallError(status: .internal, message: "an answer without a message"))
            )
        }
    }
}
