internal import CTraceProtos
package import TraceModel

/// The answer to `GetStatus`.
package struct StatusResponse: Sendable, Equatable {
    package var active: Bool
    /// Events received.
    package var receivedTraces: Int64
    package var serverVersion: String

    package init(active: Bool, receivedTraces: Int64, serverVersion: String) {
        self.active = active
        self.receivedTraces = receivedTraces
        self.serverVersion = serverVersion
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "StatusResponse",
            neu_tracer__status_response__unpack,
            free: neu_tracer__status_response__free_unpacked
        ) { message in
            unsafe StatusResponse(
                active: message.pointee.active != 0,
                receivedTraces: message.pointee.received_traces,
                serverVersion: MessageCodec.text(message.pointee.server_version)
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([serverVersion]) { strings in
            var c = unsafe NeuTracer__StatusResponse()
            unsafe neu_tracer__status_response__init(&c)
            unsafe c.active = active ? 1 : 0
            unsafe c.received_traces = receivedTraces
            unsafe c.server_version = strings[0]
            let count = unsafe neu_tracer__status_response__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe neu_tracer__status_response__pack(&c, $0)
            }
        }
    }
}
