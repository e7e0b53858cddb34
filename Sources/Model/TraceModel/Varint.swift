/// Base-128 numbers as in protobuf: seven bits per byte, lowest first, the high bit set in all bytes but the last. For
/// small messages and saved state; `TraceWire.FieldReader` reads those of events, and `RawBuffer` writes them in place.
package enum Varint {
    /// Appends `value` in the fewest bytes, at most ten.
    @inlinable package static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Reads the number at `position` and advances beyond it. Returns nil, with the position unchanged, if the bytes
    /// end within it or it has more than 64 bits.
    @inlinable @inline(__always) package static func read<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes,
        at position: inout Bytes.Index
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
