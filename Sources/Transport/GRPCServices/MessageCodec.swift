internal import CTraceProtos
internal import Glibc
internal import TraceModel

/// Converts between Swift values and protobuf-c's structures. For small messages: callers limit the size of a client's
/// bytes first, because protobuf-c expands few bytes to many.
enum MessageCodec {
    /// Larger than any request of these services.
    static let requestBytesMax = 64 << 10
    /// Limit for a response that names files.
    static let fileAnswerBytesMax = Limits.windowFilesBytesMax

    /// Packs a generated structure; each of them starts with protobuf-c's generic one.
    static func pack<Message>(_ message: inout Message) -> [UInt8] {
        unsafe withUnsafePointer(to: &message) { pointer in
            let generic = unsafe UnsafeRawPointer(pointer).assumingMemoryBound(
                to: ProtobufCMessage.self
            )
            let count = unsafe protobuf_c_message_get_packed_size(generic)
            return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                if let start = buffer.baseAddress {
                    unsafe initialized = protobuf_c_message_pack(generic, start)
                }
                assert(initialized == count)
            }
        }
    }

    /// Unpacks with one of protobuf-c's functions, passes the structure to `body`, and frees it.
    static func unpack<Message, Value>(
        _ bytes: [UInt8],
        as name: StaticString,
        bytesMax: Int = requestBytesMax,
        _ unpack: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) ->
            UnsafeMutablePointer<
                Message
            >?,
        free: (UnsafeMutablePointer<Message>?, UnsafeMutablePointer<ProtobufCAllocator>?) -> Void,
        _ body: (UnsafeMutablePointer<Message>) -> Value
    ) throws(TraceError) -> Value {
        guard bytes.count <= bytesMax else {
            throw TraceError(
                .invalidArgument,
                "\(name) of \(bytes.count) bytes, at most \(bytesMax)"
            )
        }
        let message = unsafe bytes.withUnsafeBufferPointer {
            unsafe unpack(nil, $0.count, $0.baseAddress)
        }
        guard let message = unsafe message else {
            throw TraceError(.invalidArgument, "\(name) is not a valid message")
        }
        defer { unsafe free(message, nil) }
        return unsafe body(message)
    }

    /// Reads a C string; empty for NULL. Invalid UTF-8 becomes U+FFFD.
    static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer = unsafe pointer else { return "" }
        return unsafe String(cString: pointer)
    }

    /// Calls `body` with C strings that are valid only during the call, for a message to be packed.
    static func withCStrings<Value>(
        _ texts: [String],
        _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        var pointers = unsafe texts.map { unsafe strdup($0) }
        defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
        return unsafe pointers.withUnsafeMutableBufferPointer { unsafe body($0) }
    }
}
