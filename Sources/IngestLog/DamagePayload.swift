package import SystemIO
package import TraceModel

/// The body of a damage record: a range of the log that could not be read, and how many events it held.
/// Layout, little-endian: from u64, to u64, events u64.
package struct DamagePayload: Equatable, Sendable {
    package let range: Range<LSN>
    /// By the totals of the records around it; 0 where the record before it is gone too.
    package let events: UInt64

    package init(range: Range<LSN>, events: UInt64) {
        self.range = range
        self.events = events
    }

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: range.lowerBound)
        buffer.append(integer: range.upperBound)
        buffer.append(integer: events)
    }

    /// - Throws: `TraceError(.corrupt)` where the bytes are no such range.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = StateReader(bytes)
        let from = try reader.integer(UInt64.self)
        let to = try reader.integer(UInt64.self)
        guard from < to else { throw TraceError(.corrupt, "A damage record is out of shape") }
        range = from..<to
        events = try reader.integer(UInt64.self)
    }
}
