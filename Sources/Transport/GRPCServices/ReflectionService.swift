internal import CTraceProtos
package import GRPCTransport

/// Server reflection, so that tools can call a server they have no files of. Answers to both names of
/// the protocol, which differ in nothing else: newer tools try v1 first.
package final class ReflectionService: GRPCServerHandler {
    package static let name = "grpc.reflection.v1alpha.ServerReflection"

    package static let methods = [
        GRPCMethod(path: "/\(name)/ServerReflectionInfo", kind: .stream),
        GRPCMethod(
            path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            kind: .stream
        ),
    ]

    private let index: DescriptorIndex

    package init() {
        func bytes(_ start: UnsafePointer<UInt8>?, _ count: UInt) -> [UInt8] {
            unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
        }
        index = unsafe DescriptorIndex([
            bytes(trace_descriptor_set_tracer_service, trace_descriptor_set_tracer_service_count),
            bytes(trace_descriptor_set_trace_admin, trace_descriptor_set_trace_admin_count),
            bytes(trace_descriptor_set_health, trace_descriptor_set_health_count),
            bytes(trace_descriptor_set_reflection, trace_descriptor_set_reflection_count),
        ])
    }

    package func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        call.fail(.unimplemented, "reflection is a stream")
    }

    package func streamOpened(_ stream: GRPCStream, method: Int) { stream.receiveNext() }

    package func streamMessage(
        _ stream: GRPCStream,
        method: Int,
        message: consuming ReceivedMessage
    ) {
        stream.release(bytes: message.count)
        guard message.count <= MessageCodec.requestBytesMax else {
            let limit = MessageCodec.requestBytesMax
            stream.finish(.invalidArgument, "ServerReflectionRequest of more than \(limit) bytes")
            return
        }
        let request = ReflectionRequest(message.bytes())
        let response = answer(request.question, isLocal: stream.isLocalSocket)
        guard stream.send(response.encoded(for: request)) else {
            stream.finish(.resourceExhausted, "the client does not read")
            return
        }
        stream.receiveNext()
    }

    package func streamHalfClosed(_ stream: GRPCStream, method: Int) { stream.finish() }

    package func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}

    package func refused(method: Int, reason: GRPCRefusal) {}

    private func answer(
        _ question: ReflectionRequest.Question,
        isLocal: Bool
    ) -> ReflectionResponse {
        switch question {
        case .listServices:
            // Only the Unix socket serves the operator's service.
            return .services(index.services.filter { isLocal || $0 != AdminService.name })
        case .file(let name):
            return index.file(named: name).map { .files($0) } ?? .notFound(name)
        case .symbol(let name):
            return index.file(containing: name).map { .files($0) } ?? .notFound(name)
        case .extensions(let type):
            // proto3 without extensions: every known type has none.
            return index.file(containing: type) == nil ? .notFound(type) : .noExtensions(of: type)
        case .extension(let type):
            return .notFound("an extension of \(type)")
        case .none:
            return .error(.invalidArgument, "the request asks nothing")
        }
    }
}
