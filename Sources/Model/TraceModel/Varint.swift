/// Base-128 numbers as protobuf has them: seven bits a byte, the lowest first, the high bit set in all but the last. For small
/// messages and saved state; `TraceWire.FieldReader` has a way of its own for events, and `RawBuffer` writes them in place.
package enum Varint {
    /// Appends `value` in as few bytes as it takes, ten at most.
    @inlinable package static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Reads the number at `position` and moves behind it; nil, with the position as it was, where the bytes end before it does or
    /// it has more than 64 bits.
    @inlinable package static func read<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes, at position: inout Bytes.Index
    ) -> UInt64? {
        var value: UInt64 = 0
        var at = position
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard at < bytes.endIndex else { return nil }
            let byte = bytes[at]
            bytes.formIndex(after: &at)
            guard shift < 63 || byte <= 1 else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 {
                position = at
                return value
            }
        }
        return nil
    }
}
