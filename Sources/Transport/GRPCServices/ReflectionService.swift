internal import CTraceProtos
package import GRPCTransport

/// A `grpc.reflection.v1alpha.ServerReflectionRequest` (Protos/reflection.proto). Decoded by hand, because the
/// response repeats it byte for byte.
struct ReflectionRequest {
    /// The alternatives of the request's oneof.
    enum Question: Equatable {
        case listServices
        case file(String)
        case symbol(String)
        case `extension`(type: String)
        case extensions(type: String)
        case none
    }

    let bytes: [UInt8]
    private(set) var host = ""
    private(set) var question = Question.none

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        for field in WireFields(bytes[...]) {
            let text = String(decoding: field.bytes, as: UTF8.self)
            switch field.number {
            case 1: host = text
            case 3: question = .file(text)
            case 4: question = .symbol(text)
            case 5:
                let type = WireFields(field.bytes).first { $0.number == 1 }
                question = .extension(type: String(decoding: type?.bytes ?? [], as: UTF8.self))
            case 6: question = .extensions(type: text)
            case 7: question = .listServices
            default: break
            }
        }
    }
}

/// `grpc.reflection.v1alpha.ServerReflectionResponse` (Protos/reflection.proto), encoded by hand.
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

/// Server reflection, so that tools can call the server without its proto files. Serves both names of the protocol,
/// which are otherwise identical: newer tools try v1 first.
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

    /// Refuses a unary call: the service's only method is a stream.
    package func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        call.fail(.unimplemented, "reflection is a stream")
    }

    /// Requests the first message.
    package func streamOpened(_ stream: GRPCStream, method: Int) { stream.receiveNext() }

    /// Answers one request of the stream.
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

    /// Ends the stream once the client sends no more requests.
    package func streamHalfClosed(_ stream: GRPCStream, method: Int) { stream.finish() }

    /// Does nothing: the service keeps no state per stream.
    package func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}

    /// Does nothing: refused reflection calls are not counted.
    package func refused(method: Int, reason: GRPCRefusal) {}

    private func answer(_ question: ReflectionRequest.Question, isLocal: Bool) -> ReflectionResponse
    {
        switch question {
        case .listServices:
            // Only the Unix socket serves the admin service.
            return .services(index.services.filter { isLocal || $0 != AdminService.name })
        case .file(let name): return index.file(named: name).map { .files($0) } ?? .notFound(name)
        case .symbol(let name):
            return index.file(containing: name).map { .files($0) } ?? .notFound(name)
        case .extensions(let type):
            // proto3 has no extensions, so every known type has none.
            return index.file(containing: type) == nil ? .notFound(type) : .noExtensions(of: type)
        case .extension(let type): return .notFound("an extension of \(type)")
        case .none: return .error(.invalidArgument, "the request is empty")
        }
    }
}

/// Finds the files of descriptor sets (google.protobuf.FileDescriptorSet) by name and by the symbols they define. Field
/// numbers are those of google/protobuf/descriptor.proto.
struct DescriptorIndex: Sendable {
    /// An encoded file descriptor and the names of the files that it imports.
    private struct File {
        let name: String
        let bytes: [UInt8]
        let dependencies: [String]
    }

    private var files: [File] = []
    private var fileBySymbol: [String: Int] = [:]
    private(set) var services: [String] = []

    init(_ sets: [[UInt8]]) {
        for set in sets {
            for field in WireFields(set[...]) where field.number == 1 { add(Array(field.bytes)) }
        }
        services.sort()
    }

    /// Returns the file and all its dependencies, the file first; nil if there is no such file.
    func file(named name: String) -> [[UInt8]]? {
        guard let index = files.firstIndex(where: { $0.name == name }) else { return nil }
        return withDependencies(index)
    }

    /// Returns the file that defines a message, enum, field, service or method of this full name.
    func file(containing symbol: String) -> [[UInt8]]? {
        fileBySymbol[symbol].map { withDependencies($0) }
    }

    private func withDependencies(_ first: Int) -> [[UInt8]] {
        var order = [first]
        var position = 0
        while position < order.count {
            for name in files[order[position]].dependencies {
                guard let index = files.firstIndex(where: { $0.name == name }) else { continue }
                if !order.contains(index) { order.append(index) }
            }
            position += 1
        }
        return order.map { files[$0].bytes }
    }

    private mutating func add(_ bytes: [UInt8]) {
        let fields = Array(WireFields(bytes[...]))
        let name = Self.text(fields, 1)
        guard !files.contains(where: { $0.name == name }) else { return }
        let package = Self.text(fields, 2)
        let dependencies = fields.filter { $0.number == 3 }.map {
            String(decoding: $0.bytes, as: UTF8.self)
        }
        files.append(File(name: name, bytes: bytes, dependencies: dependencies))
        for field in fields {
            switch field.number {
            case 4: addMessage(field.bytes, in: package)
            case 5: addEnum(field.bytes, in: package)
            case 6: addService(field.bytes, in: package)
            case 7: addName(field.bytes, in: package)
            default: break
            }
        }
    }

    private mutating func addMessage(_ bytes: ArraySlice<UInt8>, in scope: String) {
        let name = addName(bytes, in: scope)
        for field in WireFields(bytes) {
            switch field.number {
            case 3: addMessage(field.bytes, in: name)
            case 4: addEnum(field.bytes, in: name)
            case 2, 6, 8: addName(field.bytes, in: name)
            default: break
            }
        }
    }

    /// Enum values are siblings of their enum, as in C++.
    private mutating func addEnum(_ bytes: ArraySlice<UInt8>, in scope: String) {
        addName(bytes, in: scope)
        for field in WireFields(bytes) where field.number == 2 { addName(field.bytes, in: scope) }
    }

    private mutating func addService(_ bytes: ArraySlice<UInt8>, in scope: String) {
        let name = addName(bytes, in: scope)
        services.append(name)
        for field in WireFields(bytes) where field.number == 2 { addName(field.bytes, in: name) }
    }

    @discardableResult private mutating func addName(
        _ bytes: ArraySlice<UInt8>,
        in scope: String
    ) -> String {
        let own = Self.text(Array(WireFields(bytes)), 1)
        let name = scope.isEmpty ? own : "\(scope).\(own)"
        fileBySymbol[name] = files.count - 1
        return name
    }

    private static func text(_ fields: [WireFields.Field], _ number: Int) -> String {
        guard let field = fields.first(where: { $0.number == number }) else { return "" }
        return String(decoding: field.bytes, as: UTF8.self)
    }
}
