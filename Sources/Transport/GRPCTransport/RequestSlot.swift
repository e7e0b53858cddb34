internal import CGRPC

/// Room for one incoming call, armed again and again. Touched only by the poller that got its event.
@safe
final class RequestSlot: CompletionOwner, @unchecked Sendable {
    @unsafe
    private struct Cells {
        var call: OpaquePointer?
        var details = unsafe grpc_call_details()
        var metadata = unsafe grpc_metadata_array()
    }

    private let server: GRPCServer
    private let cells = UnsafeMutablePointer<Cells>.allocate(capacity: 1)

    init(server: GRPCServer) {
        self.server = server
        unsafe cells.initialize(to: Cells())
        unsafe grpc_call_details_init(&cells.pointee.details)
        unsafe grpc_metadata_array_init(&cells.pointee.metadata)
    }

    deinit {
        unsafe grpc_call_details_destroy(&cells.pointee.details)
        unsafe grpc_metadata_array_destroy(&cells.pointee.metadata)
        unsafe cells.deinitialize(count: 1)
        unsafe cells.deallocate()
    }

    /// Asks for the next call. False once the server's queue is closed.
    func arm() -> Bool {
        let queue = server.queue
        return unsafe queue.start(self, .request) { tag in
            unsafe grpc_server_request_call(
                server.pointer,
                &cells.pointee.call,
                &cells.pointee.details,
                &cells.pointee.metadata,
                queue.pointer,
                queue.pointer,
                tag
            )
        }
    }

    func completed(_ operation: CompletionTag.Operation, success: Bool) {
        // Without success the server is shutting down; nothing was written to the cells.
        guard success, let pointer = unsafe cells.pointee.call else { return }
        let call = unsafe CallHandle(takingOwnership: pointer)
        let method = unsafe server.methods.index(of: &cells.pointee.details.method)
        // Elements of the metadata belong to the call, the array stays ours and is filled anew.
        unsafe cells.pointee.metadata.count = 0
        unsafe cells.pointee.call = nil
        unsafe grpc_call_details_destroy(&cells.pointee.details)
        unsafe grpc_call_details_init(&cells.pointee.details)
        _ = arm()
        server.accept(call, method: method)
    }
}
