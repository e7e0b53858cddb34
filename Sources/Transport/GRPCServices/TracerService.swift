internal import CTraceProtos
package import GRPCTransport
package import TraceModel

/// Name and methods of `NeuTracer.TracerService` (Protos/tracer_service.proto), which the router serves.
package enum TracerService {
    package static let name = "NeuTracer.TracerService"

    /// Index in `methods`.
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

/// Response of `SendTraceBatch`.
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

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([message]) { strings in
            var c = unsafe NeuTracer__TraceResponse()
            unsafe neu_tracer__trace_response__init(&c)
            unsafe c.success = success ? 1 : 0
            unsafe c.message = strings[0]
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// One acknowledgement on `StreamTraceBatches`.
package struct BatchAck: Sendable, Equatable {
    package var sequence: UInt64
    package var success: Bool
    package var message: String
    package var acceptedEvents: UInt64

    package init(sequence: UInt64, success: Bool, message: String = "", acceptedEvents: UInt64) {
        self.sequence = sequence
        self.success = success
        self.message = message
        self.acceptedEvents = acceptedEvents
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "BatchAck",
            neu_tracer__batch_ack__unpack,
            free: neu_tracer__batch_ack__free_unpacked
        ) { message in
            unsafe BatchAck(
                sequence: message.pointee.sequence,
                success: message.pointee.success != 0,
                message: MessageCodec.text(message.pointee.message),
                acceptedEvents: message.pointee.accepted_events
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([message]) { strings in
            var c = unsafe NeuTracer__BatchAck()
            unsafe neu_tracer__batch_ack__init(&c)
            unsafe c.sequence = sequence
            unsafe c.success = success ? 1 : 0
            unsafe c.message = strings[0]
            unsafe c.accepted_events = acceptedEvents
            return unsafe MessageCodec.pack(&c)
        }
    }
}
