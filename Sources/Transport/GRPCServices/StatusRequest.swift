internal import CTraceProtos
package import TraceModel

/// The question of `GetStatus`.
package struct StatusRequest: Sendable, Equatable {
    package var clientID: String

    package init(clientID: String = "") { self.clientID = clientID }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "StatusRequest",
            neu_tracer__status_request__unpack,
            free: neu_tracer__status_request__free_unpacked
        ) { message in
            unsafe StatusRequest(clientID: MessageCodec.text(message.pointee.client_id))
        }
    }

    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([clientID]) { strings in
            var c = unsafe NeuTracer__StatusRequest()
            unsafe neu_tracer__status_request__init(&c)
            unsafe c.client_id = strings[0]
            let count = unsafe neu_tracer__status_request__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe neu_tracer__status_request__pack(&c, $0)
            }
        }
    }
}
