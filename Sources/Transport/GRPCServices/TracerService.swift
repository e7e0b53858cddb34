package import GRPCTransport

/// `NeuTracer.TracerService` (Protos/tracer_service.proto): names and methods. The router handles it.
package enum TracerService {
    package static let name = "NeuTracer.TracerService"

    /// In the order of `methods`.
    package enum Method: Int, Sendable {
        case sendTraceBatch
        case getStatus
        case streamTraceBatches

        package var path: String { TracerService.methods[rawValue].path }
    }

    package static let methods = [
        GRPCMethod(path: "/\(name)/SendTraceBatch", kind: .unary),
        GRPCMethod(path: "/\(name)/GetStatus", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/StreamTraceBatches", kind: .stream),
    ]
}
