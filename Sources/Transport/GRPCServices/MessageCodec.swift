internal import CTraceProtos
internal import Glibc
internal import TraceModel

/// The way between Swift values and protobuf-c's structs. For small messages: whoever decodes bytes
/// of a client bounds them first, as protobuf-c unpacks a few bytes to many.
enum MessageCodec {
    /// Larger than any request of the services here.
    static let requestBytesMax = 64 << 10
    /// An answer that names files.
    static let fileAnswerBytesMax = Limits.windowFilesBytesMax

    /// Packs a message of `count` bytes that `pack` writes.
    static func pack(_ count: Int, _ pack: (UnsafeMutablePointer<UInt8>) -> Int) -> [UInt8] {
        guard count > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let start = buffer.baseAddress { unsafe initialized = pack(start) }
            assert(initialized == count)
        }
    }

    /// Unpacks with one of protobuf-c's functions, hands the struct to `body`, and frees it.
    static func unpack<Message, Value>(
        _ bytes: [UInt8], as name: StaticString, bytesMax: Int = requestBytesMax,
        _ unpack: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) -> UnsafeMutablePointer<
            Message
        >?, free: (UnsafeMutablePointer<Message>?, UnsafeMutablePointer<ProtobufCAllocator>?) -> Void,
        _ body: (UnsafeMutablePointer<Message>) -> Value
    ) throws(TraceError) -> Value {
        guard bytes.count <= bytesMax else {
            throw TraceError(.invalidArgument, "\(name) of \(bytes.count) bytes, at most \(bytesMax)")
        }
        let message = unsafe bytes.withUnsafeBufferPointer { unsafe unpack(nil, $0.count, $0.baseAddress) }
        guard let message = unsafe message else { throw TraceError(.invalidArgument, "\(name) is not a valid message") }
        defer { unsafe free(message, nil) }
        return unsafe body(message)
    }

    /// Text of a message; empty for none. What is not UTF-8 becomes U+FFFD.
    static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer = unsafe pointer else { return "" }
        return unsafe String(cString: pointer)
    }

    /// Calls `body` with C strings, which live only meanwhile: what a message to be packed points to.
    static func withCStrings<Value>(
        _ texts: [String], _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        var pointers = unsafe texts.map { unsafe strdup($0) }
        defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
        return unsafe pointers.withUnsafeMutableBufferPointer { unsafe body($0) }
    }
}
