import TraceModel

/// Reads protobuf fields from borrowed bytes and never past their end. Accepts what protobuf-c
/// accepts, except overlong varints and invalid field numbers, which it lets pass.
@safe
struct FieldReader {
    private(set) var cursor: UnsafeRawPointer
    private let end: UnsafeRawPointer

    @inline(__always)
    init(_ view: ByteView) {
        // Of no bytes nothing is read, so any address will do for a view without one.
        unsafe cursor = view.start ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        unsafe end = cursor + view.count
    }

    @inline(__always)
    private var remaining: Int { unsafe end - cursor }

    /// The next tag (field number << 3 | wire type), 0 at the end.
    @inline(__always)
    mutating func nextTag() throws(WireProblem) -> UInt32 {
        guard unsafe cursor < end else { return 0 }
        let byte = unsafe cursor.load(as: UInt8.self)
        guard byte < 0x80 else { return try longTag() }
        guard byte >= 8 else { throw .fieldNumberInvalid }
        unsafe cursor += 1
        return UInt32(byte)
    }

    @inline(__always)
    mutating func varint() throws(WireProblem) -> UInt64 {
        guard unsafe cursor < end else { throw .truncated }
        let byte = unsafe cursor.load(as: UInt8.self)
        guard byte >= 0x80 else {
            unsafe cursor += 1
            return UInt64(byte)
        }
        // Process ids and the like, which often are the last field of an event.
        guard remaining > 1 else { throw .truncated }
        let second = unsafe cursor.load(fromByteOffset: 1, as: UInt8.self)
        guard second < 0x80 else { return try longVarint() }
        unsafe cursor += 2
        return UInt64(second) &<< 7 | UInt64(byte & 0x7F)
    }

    @inline(__always)
    mutating func uint32() throws(WireProblem) -> UInt32 {
        UInt32(truncatingIfNeeded: try varint())
    }

    @inline(__always)
    mutating func int32() throws(WireProblem) -> Int32 {
        Int32(truncatingIfNeeded: try varint())
    }

    @inline(__always)
    mutating func bool() throws(WireProblem) -> Bool { try varint() != 0 }

    @inline(__always)
    mutating func double() throws(WireProblem) -> Double {
        guard remaining >= 8 else { throw .truncated }
        let bits = unsafe cursor.loadUnaligned(as: UInt64.self)
        unsafe cursor += 8
        return Double(bitPattern: UInt64(littleEndian: bits))
    }

    /// The payload of a length-delimited field.
    @inline(__always)
    mutating func bytes() throws(WireProblem) -> ByteView {
        guard unsafe cursor < end else { throw .truncated }
        var length = unsafe Int(cursor.load(as: UInt8.self))
        if length < 0x80 {
            unsafe cursor += 1
        } else {
            length = Int(try shortVarint(lastByteMax: 0x0F))
        }
        guard length <= remaining else { throw .truncated }
        let view = unsafe ByteView(start: cursor, count: length)
        unsafe cursor += length
        return view
    }

    /// Passes over the value of a field that nobody knows.
    mutating func skip(_ tag: UInt32) throws(WireProblem) {
        switch tag & 7 {
        case WireType.varint: _ = try varint()
        case WireType.fixed64: try skip(bytes: 8)
        case WireType.bytes: _ = try bytes()
        case WireType.fixed32: try skip(bytes: 4)
        default: throw .wireTypeUnsupported
        }
    }

    @inline(__always)
    mutating func skip(bytes count: Int) throws(WireProblem) {
        guard remaining >= count else { throw .truncated }
        unsafe cursor += count
    }

    @inline(never)
    private mutating func longTag() throws(WireProblem) -> UInt32 {
        let tag: UInt64
        do throws(WireProblem) {
            tag = try shortVarint(lastByteMax: 0x0F)
        } catch {
            throw error == .varintTooLong ? .fieldNumberInvalid : error
        }
        guard tag >= 8 else { throw .fieldNumberInvalid }
        return UInt32(truncatingIfNeeded: tag)
    }

    /// A varint of at most 5 bytes and 32 bits: a tag or a length.
    @inline(never)
    private mutating func shortVarint(lastByteMax: UInt8) throws(WireProblem) -> UInt64 {
        var value: UInt64 = 0
        let count = min(remaining, 5)
        for index in 0..<count {
            let byte = unsafe cursor.load(fromByteOffset: index, as: UInt8.self)
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 {
                guard index < 4 || byte <= lastByteMax else { throw .varintTooLong }
                unsafe cursor += index + 1
                return value
            }
        }
        throw count == 5 ? .varintTooLong : .truncated
    }

    /// A varint of two bytes or more. Up to 8 bytes are taken in one load: the continuation bits
    /// say how many, and three steps squeeze them out.
    @inline(never)
    private mutating func longVarint() throws(WireProblem) -> UInt64 {
        guard remaining >= 8 else { return try bytewiseVarint() }
        let word = UInt64(littleEndian: unsafe cursor.loadUnaligned(as: UInt64.self))
        let stops = ~word & 0x8080_8080_8080_8080
        guard stops != 0 else { return try bytewiseVarint() }
        unsafe cursor += (stops.trailingZeroBitCount &+ 1) &>> 3
        // All bits up to and with the first stop bit.
        var value = word & (stops ^ (stops &- 1)) & 0x7F7F_7F7F_7F7F_7F7F
        value = (value & 0x007F_007F_007F_007F) | ((value & 0x7F00_7F00_7F00_7F00) &>> 1)
        value = (value & 0x0000_3FFF_0000_3FFF) | ((value & 0x3FFF_0000_3FFF_0000) &>> 2)
        return (value & 0x0FFF_FFFF) | ((value & 0x0FFF_FFFF_0000_0000) &>> 4)
    }

    private mutating func bytewiseVarint() throws(WireProblem) -> UInt64 {
        var value: UInt64 = 0
        let count = min(remaining, 10)
        for index in 0..<count {
            let byte = unsafe cursor.load(fromByteOffset: index, as: UInt8.self)
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                guard index < 9 || byte <= 1 else { throw .varintTooLong }
                unsafe cursor += index + 1
                return value
            }
        }
        throw count == 10 ? .varintTooLong : .truncated
    }
}
