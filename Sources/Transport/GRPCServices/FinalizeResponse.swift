internal import CTraceProtos
package import TraceModel

/// The answer to `Finalize` and `Drain`, whose requests are empty: no bytes at all.
package struct FinalizeResponse: Sendable, Equatable {
    package var window: UInt64
    /// Paths relative to the data directory.
    package var files: [String]

    package init(window: UInt64, files: [String]) {
        self.window = window
        self.files = files
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "FinalizeResponse",
            bytesMax: MessageCodec.fileAnswerBytesMax,
            trace_processor__finalize_response__unpack,
            free: trace_processor__finalize_response__free_unpacked
        ) { message in
            unsafe FinalizeResponse(
                window: message.pointee.window,
                files: (0..<message.pointee.n_files).map { index in
                    unsafe MessageCodec.text(message.pointee.files[index])
                }
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings(files) { strings in
            var c = unsafe TraceProcessor__FinalizeResponse()
            unsafe trace_processor__finalize_response__init(&c)
            unsafe c.window = window
            unsafe c.n_files = strings.count
            unsafe c.files = strings.baseAddress
            let count = unsafe trace_processor__finalize_response__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe trace_processor__finalize_response__pack(&c, $0)
            }
        }
    }
}
