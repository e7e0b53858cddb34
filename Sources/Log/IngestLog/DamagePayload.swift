package import SystemIO
package import TraceModel

/// The body of a damage record: a range of the log that could not be read, and how many events in it were not applied.
/// Layout, little-endian: from u64, to u64, events u64, uncertain u64, settles u8. Versions before 0.2 stop before the
/// uncertain ones, and counted all events of the range.
package struct DamagePayload: Equatable, Sendable {
    package let range: Range<LSN>
    /// That no worker has applied, by the totals around the range and the workers' checkpoints; 0 where the record before it
    /// is gone too. They count as dead-lettered.
    package let events: UInt64
    /// Events of the range of which some may have been applied: a checkpoint stands within it, or not all workers of a
    /// resource have come as far.
    package let uncertain: UInt64
    /// Says how many of all that were uncertain before turned out not to have been applied: `events`.
    package let settles: Bool

    package init(range: Range<LSN>, events: UInt64, uncertain: UInt64 = 0, settles: Bool = false) {
        self.range = range
        self.events = events
        self.uncertain = uncertain
        self.settles = settles
    }

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: range.lowerBound)
        buffer.append(integer: range.upperBound)
        buffer.append(integer: events)
        buffer.append(integer: uncertain)
        buffer.append(byte: settles ? 1 : 0)
    }

    /// - Throws: `TraceError(.corrupt)` where the bytes are no such range.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = StateReader(bytes)
        let from = try reader.integer(UInt64.self)
        let to = try reader.integer(UInt64.self)
        guard from < to else { throw TraceError(.corrupt, "A damage record is out of shape") }
        range = from..<to
        events = try reader.integer(UInt64.self)
        uncertain = reader.isAtEnd ? 0 : try reader.integer(UInt64.self)
        settles = reader.isAtEnd ? false : try reader.integer(UInt8.self) == 1
    }
}
