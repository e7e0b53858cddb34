package import GRPCTransport

/// `TraceProcessor.TraceAdmin` (Protos/trace_admin.proto): names and methods. The router handles it,
/// for clients on its Unix socket only.
package enum AdminService {
    package static let name = "TraceProcessor.TraceAdmin"

    /// In the order of `methods`.
    package enum Method: Int, Sendable {
        case finalize
        case scale
        case drain
        case skip
        case slots

        package var path: String { AdminService.methods[rawValue].path }
    }

    package static let methods = [
        GRPCMethod(path: "/\(name)/Finalize", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Scale", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Drain", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Skip", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Slots", kind: .unary, lane: .control),
    ]
}
