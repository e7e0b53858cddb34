internal import GRPCTransport

/// `grpc.reflection.v1alpha.ServerReflectionResponse` (Protos/reflection.proto), written by hand.
enum ReflectionResponse {
    /// Serialized FileDescriptorProtos.
    case files([[UInt8]])
    case noExtensions(of: String)
    case services([String])
    case error(GRPCStatus, String)

    static func notFound(_ what: String) -> ReflectionResponse {
        .error(.notFound, "not found: \(what)")
    }

    func encoded(for request: ReflectionRequest) -> [UInt8] {
        var writer = WireWriter()
        writer.add(1, bytes: Array(request.host.utf8))
        writer.add(2, bytes: request.bytes)
        var payload = WireWriter()
        switch self {
        case .files(let files):
            for file in files { payload.add(1, bytes: file) }
            writer.add(4, bytes: payload.bytes)
        case .noExtensions(let type):
            payload.add(1, bytes: Array(type.utf8))
            writer.add(5, bytes: payload.bytes)
        case .services(let names):
            for name in names {
                var service = WireWriter()
                service.add(1, bytes: Array(name.utf8))
                payload.add(1, bytes: service.bytes)
            }
            writer.add(6, bytes: payload.bytes)
        case .error(let status, let message):
            payload.add(1, varint: UInt64(status.rawValue))
            payload.add(2, bytes: Array(message.utf8))
            writer.add(7, bytes: payload.bytes)
        }
        return writer.bytes
    }
}
