internal import CTraceProtos
package import TraceModel

/// The answer to `SendTraceBatch`.
package struct TraceResponse: Sendable, Equatable {
    package var success: Bool
    package var message: String

    package init(success: Bool, message: String = "") {
        self.success = success
        self.message = message
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "TraceResponse",
            neu_tracer__trace_response__unpack,
            free: neu_tracer__trace_response__free_unpacked
        ) { message in
            unsafe TraceResponse(
                success: message.pointee.success != 0,
                message: MessageCodec.text(message.pointee.message)
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([message]) { strings in
            var c = unsafe NeuTracer__TraceResponse()
            unsafe neu_tracer__trace_response__init(&c)
            unsafe c.success = success ? 1 : 0
            unsafe c.message = strings[0]
            let count = unsafe neu_tracer__trace_response__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe neu_tracer__trace_response__pack(&c, $0)
            }
        }
    }
}
