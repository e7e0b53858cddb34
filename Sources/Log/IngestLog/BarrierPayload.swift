package import SystemIO
package import TraceModel

/// The body of a barrier record: which window ends here, and what its files are called.
///
/// Layout, little-endian: window u64, reason u8, length of the stem u8, stem, number of worker counts
/// u8 (6, by resource), counts u16 each, then per resource 256 owners u16 each: the slot map in force
/// behind the barrier.
package struct BarrierPayload: Equatable, Sendable {
    /// Why a window was closed. Raw values are on disk.
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
    /// `YYYYmmdd_HHMMSS` in the configured zone, with `_<n>` where that second has had a barrier before.
    package let stem: String
    package let slotMap: SlotMap

    package init(window: UInt64, reason: Reason, stem: String, slotMap: SlotMap) {
        self.window = window
        self.reason = reason
        self.stem = stem
        self.slotMap = slotMap
    }

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

    /// - Throws: `TraceError(.corrupt)` where the bytes are no barrier.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var at = 0
        func take<Integer: FixedWidthInteger>(_: Integer.Type) throws(TraceError) -> Integer {
            guard bytes.count - at >= MemoryLayout<Integer>.size else {
                throw TraceError(.corrupt, "A barrier record is cut off")
            }
            defer { at += MemoryLayout<Integer>.size }
            return Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: Integer.self))
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
        stem = String(decoding: bytes[at..<at + length], as: UTF8.self)
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
