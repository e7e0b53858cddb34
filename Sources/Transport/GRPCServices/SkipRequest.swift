internal import CTraceProtos
package import TraceModel

/// The question of `Skip`: up to where which worker's events are set aside. The sender names the worker, so
/// there may be none of that name.
package struct SkipRequest: Sendable, Equatable {
    package var worker: String
    package var to: LSN
    /// Up to where the aggregator has counted the worker's events as written; `LSN.max`: not known.
    package var counted: LSN

    package init(worker: String, to: LSN, counted: LSN) {
        self.worker = worker
        self.to = to
        self.counted = counted
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "SkipRequest",
            trace_processor__skip_request__unpack,
            free: trace_processor__skip_request__free_unpacked
        ) { message in
            unsafe SkipRequest(
                worker: MessageCodec.text(message.pointee.worker),
                to: message.pointee.to_lsn,
                counted: message.pointee.counted_lsn
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([worker]) { strings in
            var c = unsafe TraceProcessor__SkipRequest()
            unsafe trace_processor__skip_request__init(&c)
            unsafe c.worker = strings[0]
            unsafe c.to_lsn = to
            unsafe c.counted_lsn = counted
            let count = unsafe trace_processor__skip_request__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe trace_processor__skip_request__pack(&c, $0)
            }
        }
    }
}
