internal import CTraceProtos
package import TraceModel

/// The answer to `Skip`: what was set aside.
package struct SkipResponse: Sendable, Equatable {
    package var from: LSN
    package var to: LSN
    package var events: UInt64
    /// The letter's name; empty where there was nothing to set aside.
    package var letter: String
    /// What else there is to say, in words; may be empty.
    package var note: String

    package init(from: LSN, to: LSN, events: UInt64, letter: String, note: String) {
        self.note = note
        self.from = from
        self.to = to
        self.events = events
        self.letter = letter
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "SkipResponse",
            trace_processor__skip_response__unpack,
            free: trace_processor__skip_response__free_unpacked
        ) { message in
            unsafe SkipResponse(
                from: message.pointee.from_lsn,
                to: message.pointee.to_lsn,
                events: message.pointee.events,
                letter: MessageCodec.text(message.pointee.letter),
                note: MessageCodec.text(message.pointee.note)
            )
        }
    }

    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([letter, note]) { strings in
            var c = unsafe TraceProcessor__SkipResponse()
            unsafe trace_processor__skip_response__init(&c)
            unsafe c.from_lsn = from
            unsafe c.to_lsn = to
            unsafe c.events = events
            unsafe c.letter = strings[0]
            unsafe c.note = strings[1]
            let count = unsafe trace_processor__skip_response__get_packed_size(&c)
            return unsafe MessageCodec.pack(count) {
                unsafe trace_processor__skip_response__pack(&c, $0)
            }
        }
    }
}
