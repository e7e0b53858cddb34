internal import CTraceProtos
package import TraceModel

/// The question of `Scale`: resources not named stay as they are.
package struct ScaleRequest: Sendable, Equatable {
    package var counts: [WorkerCount]

    package init(counts: [WorkerCount]) { self.counts = counts }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "ScaleRequest",
            trace_processor__scale_request__unpack,
            free: trace_processor__scale_request__free_unpacked
        ) { message in
            unsafe ScaleRequest(
                counts: WorkerCount.list(message.pointee.counts, message.pointee.n_counts)
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe WorkerCount.withC(counts) { pointers, pointerCount in
            var c = unsafe TraceProcessor__ScaleRequest()
            unsafe trace_processor__scale_request__init(&c)
            unsafe c.n_counts = pointerCount
            unsafe c.counts = pointers
            let count = unsafe trace_processor__scale_request__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe trace_processor__scale_request__pack(&c, $0)
            }
        }
    }
}
