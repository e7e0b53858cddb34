package import SystemIO
package import TraceModel

/// The body of a barrier record: the window that ends here, and the name of its files.
///
/// Layout, little-endian: window u64, reason u8, length of the stem u8, stem, number of worker counts u8 (6, by
/// resource), counts u16 each, then per resource 256 owners u16 each: the slot map in force after the barrier.
package struct BarrierPayload: Equatable, Sendable {
    /// The reason why a window was closed. Raw values are on disk.
    package enum Reason: UInt8, Sendable {
        case size = 1
        case age = 2
        case lastBatch = 3
        case inactivity = 4
        case command = 5
        case stop = 6
        case scale = 7
    }

    /// The window that ends, counted from 0.
    package let window: UInt64
    package let reason: Reason
    /// `YYYYmmdd_HHMMSS` in the configured zone, with `_<n>` if that second already has a barrier.
    package let stem: String
    package let slotMap: SlotMap

    package init(window: UInt64, reason: Reason, stem: String, slotMap: SlotMap) {
        self.window = window
        self.reason = reason
        self.stem = stem
        self.slotMap = slotMap
    }

    /// Appends the encoded body.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: window)
        buffer.append(byte: reason.rawValue)
        precondition(stem.utf8.count < 256)
        buffer.append(byte: UInt8(stem.utf8.count))
        buffer.append(stem)
        buffer.append(byte: UInt8(Resource.count))
        for resource in Resource.allCases {
            buffer.append(integer: UInt16(slotMap.workerCount(of: resource)))
        }
        for resource in Resource.allCases {
            for owner in slotMap.owners(of: resource) { buffer.append(integer: owner) }
        }
    }

    /// - Throws: `TraceError(.corrupt)` if the bytes are not a barrier.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var at = 0
        func take<Integer: FixedWidthInteger>(_: Integer.Type) throws(TraceError) -> Integer {
            guard bytes.count - at >= MemoryLayout<Integer>.size else {
                throw TraceError(.corrupt, "A barrier record is cut off")
            }
            defer { at += MemoryLayout<Integer>.size }
            return unsafe Integer(
                littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: Integer.self)
            )
        }
        window = try take(UInt64.self)
        guard let reason = Reason(rawValue: try take(UInt8.self)) else {
            throw TraceError(.corrupt, "A barrier record has an unknown reason")
        }
        self.reason = reason
        let length = Int(try take(UInt8.self))
        guard bytes.count - at >= length else {
            throw TraceError(.corrupt, "A barrier record is cut off")
        }
        stem = unsafe String(decoding: bytes[at..<at + length], as: UTF8.self)
        at += length
        guard try take(UInt8.self) == UInt8(Resource.count) else {
            throw TraceError(.corrupt, "A barrier record knows other resources")
        }
        var counts: [Int] = []
        for _ in Resource.allCases { counts.append(Int(try take(UInt16.self))) }
        var owners: [[UInt16]] = []
        for _ in Resource.allCases {
            var row: [UInt16] = []
            for _ in 0..<Slot.count { row.append(try take(UInt16.self)) }
            owners.append(row)
        }
        guard let map = SlotMap(owners: owners, workers: counts) else {
            throw TraceError(.corrupt, "A barrier record's slot map is out of shape")
        }
        slotMap = map
    }
}

/// The last barrier of a log, as stated at the beginning of each file head's body and in the note beside the log.
///
/// Layout, little-endian: whether a window was closed u8, the barrier (window, stem and slot map, in the layout of a
/// barrier) as counted bytes, the start of the open window u64.
package struct LastWindow: Sendable {
    /// The barrier; nil if no window was closed yet.
    package let closed: BarrierPayload?
    /// The slot map in force behind it.
    package let slotMap: SlotMap
    /// The start of the open window: the end of the barrier's record.
    package let begin: LSN

    package init(closed: BarrierPayload?, slotMap: SlotMap, begin: LSN) {
        self.closed = closed
        self.slotMap = slotMap
        self.begin = begin
    }

    /// - Throws: `TraceError(.corrupt)` if the bytes are malformed.
    package init(from reader: inout StateReader) throws(TraceError) {
        let closedBefore = try reader.integer(UInt8.self) == 1
        let barrier = try unsafe BarrierPayload(decoding: try reader.counted())
        begin = try reader.integer(UInt64.self)
        slotMap = barrier.slotMap
        closed = closedBefore ? barrier : nil
    }

    /// Appends the encoded values.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: closed == nil ? 0 : 1)
        var barrier = RawBuffer()
        (closed ?? BarrierPayload(window: .max, reason: .command, stem: "", slotMap: slotMap))
            .encode(into: &barrier)
        buffer.append(integer: UInt32(barrier.count))
        unsafe buffer.append(barrier.bytes)
        buffer.append(integer: begin)
    }
}

/// The body of a damage record: a range of the log that could not be read, and the number of its events that were not
/// applied.
///
/// Layout, little-endian: from u64, to u64, events u64, uncertain u64, settles u8. Versions before 0.2 end before
/// `uncertain`, and counted all events of the range.
package struct DamagePayload: Equatable, Sendable {
    package let range: Range<LSN>
    /// Events that no worker has applied, by the totals around the range and the workers' checkpoints; 0 if the
    /// preceding record is lost too. They count as dead-lettered.
    package let events: UInt64
    /// Events of the range that some workers may have applied: a checkpoint is within it, or not all workers of a
    /// resource have reached it.
    package let uncertain: UInt64
    /// This record resolves all uncertain events before it: `events` of them were not applied.
    package let settles: Bool

    package init(range: Range<LSN>, events: UInt64, uncertain: UInt64 = 0, settles: Bool = false) {
        self.range = range
        self.events = events
        self.uncertain = uncertain
        self.settles = settles
    }

    /// Appends the encoded body.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: range.lowerBound)
        buffer.append(integer: range.upperBound)
        buffer.append(integer: events)
        buffer.append(integer: uncertain)
        buffer.append(byte: settles ? 1 : 0)
    }

    /// - Throws: `TraceError(.corrupt)` if the bytes are not such a range.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = unsafe StateReader(bytes)
        let from = try reader.integer(UInt64.self)
        let to = try reader.integer(UInt64.self)
        guard from < to else { throw TraceError(.corrupt, "A damage record is out of shape") }
        range = from..<to
        events = try reader.integer(UInt64.self)
        uncertain = reader.isAtEnd ? 0 : try reader.integer(UInt64.self)
        settles = reader.isAtEnd ? false : try reader.integer(UInt8.self) == 1
    }
}
