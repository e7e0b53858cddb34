/// The digits of numbers as text.
@usableFromInline package enum DecimalText {
    /// Returns the digits of a value below 10⁸ as text without leading zeros, and their number.
    @inlinable @inline(__always) static func firstText(_ value: UInt64) -> (UInt64, UInt8) {
        if value < 10 { return (0x30 &+ value, 1) }
        if value < 10_000 {
            let digits = fourDigits(UInt32(truncatingIfNeeded: value))
            let zeros = UInt32(truncatingIfNeeded: digits.trailingZeroBitCount & ~7)
            let text = (digits | 0x3030_3030) &>> zeros
            return (UInt64(text), UInt8(truncatingIfNeeded: 4 &- zeros &>> 3))
        }
        let digits = eightDigits(value)
        let zeros = UInt64(truncatingIfNeeded: digits.trailingZeroBitCount & ~7)
        let text = (digits | 0x3030_3030_3030_3030) &>> zeros
        return (text, UInt8(truncatingIfNeeded: 8 &- zeros &>> 3))
    }

    /// Returns exactly eight digits of a value below 10⁸ as text, with leading zeros.
    @inlinable @inline(__always) static func eightText(_ value: UInt64) -> UInt64 {
        eightDigits(value) | 0x3030_3030_3030_3030
    }

    /// Like `eightDigits`, for a value below 10⁴.
    @inlinable @inline(__always) static func fourDigits(_ value: UInt32) -> UInt32 {
        let hundreds = (value &* 10_486) &>> 20
        let twos = hundreds | (value &- hundreds &* 100) &<< 16
        let tens = ((twos &* 103) &>> 10) & 0x000F_000F
        return tens | (twos &- tens &* 10) &<< 8
    }

    /// Returns the digits of a value below 10⁸, one per byte, the first digit in the lowest byte. Splits the value into
    /// lanes of four, two and one digits, all lanes at once. The products are exact for every value that fits a lane.
    @inlinable @inline(__always) static func eightDigits(_ value: UInt64) -> UInt64 {
        let upper = value / 10_000
        let fours = upper | (value &- upper &* 10_000) &<< 32
        let hundreds = ((fours &* 10_486) &>> 20) & 0x0000_007F_0000_007F
        let twos = hundreds | (fours &- hundreds &* 100) &<< 16
        let tens = ((twos &* 103) &>> 10) & 0x000F_000F_000F_000F
        return tens | (twos &- tens &* 10) &<< 8
    }

    /// Writes exactly nine digits of a value below 10⁹, with leading zeros.
    @inlinable package static func writeNine(_ value: UInt64, at target: UnsafeMutableRawPointer) {
        let first = value / 100_000_000
        unsafe target.storeBytes(of: 0x30 &+ UInt8(truncatingIfNeeded: first), as: UInt8.self)
        unsafe (target + 1).storeBytes(
            of: eightText(value &- first &* 100_000_000),
            as: UInt64.self
        )
    }

    /// Splits a number into an integer and millionths; nil if it needs more decimals. The text reads back as the same
    /// double, because n / 10⁶ is correctly rounded.
    @inlinable @inline(__always) static func split(
        _ magnitude: Double
    ) -> (whole: UInt64, millionths: UInt64)? {
        guard magnitude < 0x1p53 else { return nil }
        let whole = UInt64(magnitude)
        if Double(whole) == magnitude { return (whole, 0) }
        let scaled = magnitude * 1e6
        guard scaled < 0x1p53 else { return nil }
        // Checked below, so the fastest rounding will do.
        let millionths = UInt64(scaled + 0.5)
        guard Double(millionths) / 1e6 == magnitude else { return nil }
        let above = millionths / 1_000_000
        return (above, millionths &- above &* 1_000_000)
    }

    /// Returns the decimals of `millionths` as text without trailing zeros, and their number, which is at least 1.
    @inlinable @inline(__always) static func decimalsText(_ millionths: UInt64) -> (UInt64, UInt8) {
        let digits = eightDigits(millionths &* 100)
        let count = max(1, 8 &- digits.leadingZeroBitCount &>> 3)
        return (digits | 0x3030_3030_3030_3030, UInt8(truncatingIfNeeded: count))
    }

    /// Writes lower-case hexadecimal digits without leading zeros.
    @inlinable static func writeHex(
        _ value: UInt64,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let count = max(1, (67 &- value.leadingZeroBitCount) / 4)
        var next = unsafe target
        // Most values have more than eight digits.
        if count > 8 {
            let upper = hexDigits(UInt32(truncatingIfNeeded: value &>> 32))
            unsafe next.storeBytes(of: upper &>> UInt64(8 * (16 &- count)), as: UInt64.self)
            unsafe next += count &- 8
        }
        let lower = hexDigits(UInt32(truncatingIfNeeded: value))
        let missing = UInt64(8 * max(0, 8 &- count))
        unsafe next.storeBytes(of: lower &>> missing, as: UInt64.self)
        return unsafe target + count
    }

    /// Returns eight hexadecimal digits, the first in the lowest byte.
    @inlinable @inline(__always) static func hexDigits(_ value: UInt32) -> UInt64 {
        var nibbles = UInt64(value.byteSwapped)
        nibbles = (nibbles | nibbles &<< 16) & 0x0000_FFFF_0000_FFFF
        nibbles = (nibbles | nibbles &<< 8) & 0x00FF_00FF_00FF_00FF
        nibbles = (nibbles &>> 4 | nibbles &<< 8) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = ((nibbles &+ 0x0606_0606_0606_0606) &>> 4) & 0x0101_0101_0101_0101
        return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }
}
