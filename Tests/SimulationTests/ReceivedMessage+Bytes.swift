import CGRPC

@testable import GRPCTransport

extension ReceivedMessage {
    /// Makes a message as if these bytes had been received.
    init(_ bytes: [UInt8]) {
        GRPCLibrary.initialize()
        self.init(takingOwnership: trace_grpc_buffer(bytes, bytes.count))
    }
}
