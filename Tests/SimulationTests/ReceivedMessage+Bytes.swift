import CGRPC

@testable import GRPCTransport

extension ReceivedMessage {
    /// A message as if these bytes had come from the network.
    init(_ bytes: [UInt8]) {
        GRPCLibrary.initialize()
        self.init(takingOwnership: trace_grpc_buffer(bytes, bytes.count))
    }
}
