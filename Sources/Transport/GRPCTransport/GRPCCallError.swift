/// A call that a server, or the way to it, has ended with an error.
package struct GRPCCallError: Error, CustomStringConvertible, Sendable {
    package let status: GRPCStatus
    package let message: String
    /// `grpc-status-details-bin`: a google.rpc.Status; empty where the server sent none.
    package let details: [UInt8]

    package init(status: GRPCStatus, message: String, details: [UInt8] = []) {
        self.status = status
        self.message = message
        self.details = details
    }

    package var description: String { "\(status) (\(status.rawValue)): \(message)" }
}
