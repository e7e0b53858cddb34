internal import CTraceProtos
package import TraceModel

/// The answer to `Scale`: the counts of all resources as they are now.
package struct ScaleResponse: Sendable, Equatable {
    package var counts: [WorkerCount]
    package var movedSlots: Int

    package init(counts: [WorkerCount], movedSlots: Int) {
        self.counts = counts
        self.movedSlots = movedSlots
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "ScaleResponse",
            trace_processor__scale_response__unpack,
            free: trace_processor__scale_response__free_unpacked
        ) { message in
            unsafe ScaleResponse(
                counts: WorkerCount.list(message.pointee.counts, message.pointee.n_counts),
                movedSlots: Int(message.pointee.moved_slots)
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe WorkerCount.withC(counts) { pointers, pointerCount in
            var c = unsafe TraceProcessor__ScaleResponse()
            unsafe trace_processor__scale_response__init(&c)
            unsafe c.n_counts = pointerCount
            unsafe c.counts = pointers
            unsafe c.moved_slots = UInt32(clamping: movedSlots)
            let count = unsafe trace_processor__scale_response__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe trace_processor__scale_response__pack(&c, $0)
            }
        }
    }
}
