import TraceModel

/// Protobuf wire types.
enum WireType {
    static let varint: UInt32 = 0
    static let fixed64: UInt32 = 1
    static let bytes: UInt32 = 2
    static let fixed32: UInt32 = 5
}

/// Reads protobuf fields from borrowed bytes. It may load memory beyond their end, up to `limit`, but never uses it.
/// Accepts what protobuf-c accepts, except overlong varints and invalid field numbers, which protobuf-c ignores.
@safe struct FieldReader {
    private(set) var cursor: UnsafeRawPointer
    private let end: UnsafeRawPointer
    /// End of readable memory: at least the end of the bytes.
    private let limit: UnsafeRawPointer

    @inline(__always) init(_ view: ByteView) { unsafe self.init(view, readableUntil: nil) }

    /// `limit` is the end of readable memory, at least the end of the bytes. With memory beyond the end, numbers near
    /// it are read in one load like all others.
    @inline(__always) init(_ view: ByteView, readableUntil limit: UnsafeRawPointer?) {
        // Any address is valid for an empty view, as nothing is read.
        unsafe cursor = view.start ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        unsafe end = cursor + view.count
        unsafe self.limit = limit ?? end
    }

    private init(_ cursor: UnsafeRawPointer, _ end: UnsafeRawPointer) {
        unsafe self.cursor = cursor
        unsafe self.end = end
        unsafe limit = end
    }

    @inline(__always) private var remaining: Int { unsafe end - cursor }

    /// Returns the next tag (field number << 3 | wire type), 0 at the end.
    @inline(__always) mutating func nextTag() throws(WireProblem) -> UInt32 {
        guard unsafe cursor < end else { return 0 }
        let byte = unsafe cursor.load(as: UInt8.self)
        if byte < 0x80 {
            guard byte >= 8 else { throw .fieldNumberInvalid }
            unsafe cursor += 1
            return UInt32(byte)
        }
        if remaining > 1 {
            // Fields from number 16 on.
            let second = unsafe cursor.load(fromByteOffset: 1, as: UInt8.self)
            if second < 0x80, second > 0 {
                unsafe cursor += 2
                return UInt32(second) &<< 7 | UInt32(byte & 0x7F)
            }
        }
        let tag = unsafe try Self.longTag(cursor, end)
        unsafe cursor = tag.next
        return UInt32(truncatingIfNeeded: tag.value)
    }

    /// Reads a varint. Most have one to three bytes, which one load reads.
    @inline(__always) mutating func varint() throws(WireProblem) -> UInt64 {
        guard unsafe limit - cursor >= 8 else { return try anyVarint() }
        let word = UInt64(littleEndian: unsafe cursor.loadUnaligned(as: UInt64.self))
        let length: Int
        var value = word & 0x7F
        if word & 0x80 == 0 {
            length = 1
        } else if word & 0x8000 == 0 {
            length = 2
            value |= (word &>> 1) & 0x3F80
        } else if word & 0x80_0000 == 0 {
            length = 3
            value |= (word &>> 1) & 0x3F80 | (word &>> 2) & 0x1F_C000
        } else {
            return try anyVarint()
        }
        guard remaining >= length else { throw .truncated }
        unsafe cursor += length
        return value
    }

    @inline(__always) private mutating func anyVarint() throws(WireProblem) -> UInt64 {
        let number = unsafe try Self.anyVarint(cursor, end, readableUntil: limit)
        unsafe cursor = number.next
        return number.value
    }

    @inline(__always) mutating func uint32() throws(WireProblem) -> UInt32 {
        UInt32(truncatingIfNeeded: try varint())
    }

    @inline(__always) mutating func int32() throws(WireProblem) -> Int32 {
        Int32(truncatingIfNeeded: try varint())
    }

    @inline(__always) mutating func bool() throws(WireProblem) -> Bool { try varint() != 0 }

    @inline(__always) mutating func double() throws(WireProblem) -> Double {
        guard remaining >= 8 else { throw .truncated }
        let bits = unsafe cursor.loadUnaligned(as: UInt64.self)
        unsafe cursor += 8
        return Double(bitPattern: UInt64(littleEndian: bits))
    }

    /// Returns the payload of a length-delimited field.
    @inline(__always) mutating func bytes() throws(WireProblem) -> ByteView {
        guard unsafe cursor < end else { throw .truncated }
        var length = unsafe Int(cursor.load(as: UInt8.self))
        if length < 0x80 {
            unsafe cursor += 1
        } else {
            let number = unsafe try Self.shortVarint(cursor, end)
            unsafe cursor = number.next
            length = Int(number.value)
        }
        guard length <= remaining else { throw .truncated }
        let view = unsafe ByteView(start: cursor, count: length)
        unsafe cursor += length
        return view
    }

    /// Skips the value of an unknown field.
    @inline(__always) mutating func skip(_ tag: UInt32) throws(WireProblem) {
        unsafe cursor = try Self.end(of: tag, cursor, end)
    }

    @inline(__always) mutating func skip(bytes count: Int) throws(WireProblem) {
        guard remaining >= count else { throw .truncated }
        unsafe cursor += count
    }

    // MARK: Slow paths

    // Static functions without the reader, so that a reader can stay in registers.

    /// A decoded number and the position after it.
    @safe private struct Number {
        let value: UInt64
        let next: UnsafeRawPointer
    }

    /// Returns the end of a field's value.
    @inline(never) private static func end(
        of tag: UInt32,
        _ cursor: UnsafeRawPointer,
        _ end: UnsafeRawPointer
    ) throws(WireProblem) -> UnsafeRawPointer {
        var reader = unsafe FieldReader(cursor, end)
        switch tag & 7 {
        case WireType.varint: _ = try reader.varint()
        case WireType.fixed64: try reader.skip(bytes: 8)
        case WireType.bytes: _ = try reader.bytes()
        case WireType.fixed32: try reader.skip(bytes: 4)
        default: throw .wireTypeUnsupported
        }
        return unsafe reader.cursor
    }

    @inline(never) private static func longTag(
        _ cursor: UnsafeRawPointer,
        _ end: UnsafeRawPointer
    ) throws(WireProblem) -> Number {
        let tag: Number
        do throws(WireProblem) { tag = unsafe try shortVarint(cursor, end) } catch {
            throw error == .varintTooLong ? .fieldNumberInvalid : error
        }
        guard tag.value >= 8 else { throw .fieldNumberInvalid }
        return tag
    }

    /// Reads a varint of at most 5 bytes and 32 bits: a tag or a length.
    @inline(never) private static func shortVarint(
        _ cursor: UnsafeRawPointer,
        _ end: UnsafeRawPointer
    ) throws(WireProblem) -> Number {
        unsafe try bytewiseVarint(cursor, end, lengthMax: 5, lastByteMax: 0x0F)
    }

    /// Reads a varint of up to 8 bytes in one load if possible: the continuation bits give the length, and three steps
    /// compact the bits.
    @inline(never) private static func anyVarint(
        _ cursor: UnsafeRawPointer,
        _ end: UnsafeRawPointer,
        readableUntil limit: UnsafeRawPointer
    ) throws(WireProblem) -> Number {
        if unsafe limit - cursor >= 8 {
            let word = UInt64(littleEndian: unsafe cursor.loadUnaligned(as: UInt64.self))
            let stops = ~word & 0x8080_8080_8080_8080
            let next = unsafe cursor + (stops.trailingZeroBitCount &+ 1) &>> 3
            if stops != 0, unsafe next <= end {
                // All bits up to and including the first stop bit.
                var value = word & (stops ^ (stops &- 1)) & 0x7F7F_7F7F_7F7F_7F7F
                value = (value & 0x007F_007F_007F_007F) | ((value & 0x7F00_7F00_7F00_7F00) &>> 1)
                value = (value & 0x0000_3FFF_0000_3FFF) | ((value & 0x3FFF_0000_3FFF_0000) &>> 2)
                value = (value & 0x0FFF_FFFF) | ((value & 0x0FFF_FFFF_0000_0000) &>> 4)
                return unsafe Number(value: value, next: next)
            }
        }
        // The tenth byte may hold only one bit.
        return unsafe try bytewiseVarint(cursor, end, lengthMax: 10, lastByteMax: 1)
    }

    private static func bytewiseVarint(
        _ cursor: UnsafeRawPointer,
        _ end: UnsafeRawPointer,
        lengthMax: Int,
        lastByteMax: UInt8
    ) throws(WireProblem) -> Number {
        var value: UInt64 = 0
        let count = unsafe min(end - cursor, lengthMax)
        for index in 0..<count {
            let byte = unsafe cursor.load(fromByteOffset: index, as: UInt8.self)
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 {
                guard index < lengthMax - 1 || byte <= lastByteMax else { throw .varintTooLong }
                return unsafe Number(value: value, next: cursor + index + 1)
            }
        }
        throw count == lengthMax ? .varintTooLong : .truncated
    }
}
