internal import CGRPC

/// What a client's call receives, at an address that stays.
@safe
final class ClientCells: @unchecked Sendable {
    let pointer = UnsafeMutablePointer<trace_grpc_client_cells>.allocate(capacity: 1)

    init() { unsafe trace_grpc_client_cells_init(pointer) }

    deinit {
        unsafe trace_grpc_client_cells_destroy(pointer)
        unsafe pointer.deallocate()
    }

    /// Takes the message out, nil where none came.
    func takeMessage() -> [UInt8]? {
        guard let buffer = unsafe pointer.pointee.message else { return nil }
        unsafe pointer.pointee.message = nil
        return unsafe ReceivedMessage(takingOwnership: buffer).bytes()
    }

    /// The status as an error, nil for OK. Once the status has come.
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
