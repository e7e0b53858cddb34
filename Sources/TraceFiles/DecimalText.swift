/// Writes numbers as decimal digits at an address that has room for them, and returns where they end.
@usableFromInline
package enum DecimalText {
    /// The room that `write` needs.
    @inlinable
    static var bytesMax: Int { 20 }

    @inlinable
    static var pairs: StaticString {
        """
        0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899
        """
    }

    /// Without leading zeros. Eight bytes behind `target` may be written to, or as many as the number has digits.
    @inlinable
    package static func write(
        _ value: UInt64,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        if value < 10 {
            digit(value, target)
            return target + 1
        }
        if value < 100 {
            pair(value, target)
            return target + 2
        }
        if value < 10_000 { return writeShort(UInt32(truncatingIfNeeded: value), at: target) }
        if value < 100_000_000 { return writeFirst(value, at: target) }
        let upper = value / 100_000_000
        let place =
            upper < 100_000_000
            ? writeFirst(upper, at: target)
            : writeEight(upper % 100_000_000, at: writeFirst(upper / 100_000_000, at: target))
        return writeEight(value &- upper &* 100_000_000, at: place)
    }

    /// Without leading zeros; `value` is from 1 to 10⁴ - 1. Four bytes are written. As `eightDigits`, with half of the lanes.
    @inlinable
    @inline(__always)
    static func writeShort(
        _ value: UInt32,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let hundreds = (value &* 10_486) &>> 20
        let twos = hundreds | (value &- hundreds &* 100) &<< 16
        let tens = ((twos &* 103) &>> 10) & 0x000F_000F
        let digits = tens | (twos &- tens &* 10) &<< 8
        let zeros = UInt32(truncatingIfNeeded: digits.trailingZeroBitCount & ~7)
        target.storeBytes(of: (digits | 0x3030_3030) &>> zeros, as: UInt32.self)
        return target + (4 &- Int(zeros &>> 3))
    }

    /// Without leading zeros; `value` is from 1 to 10⁸ - 1. Eight bytes are written.
    @inlinable
    @inline(__always)
    static func writeFirst(
        _ value: UInt64,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let digits = eightDigits(value)
        let zeros = digits.trailingZeroBitCount & ~7
        target.storeBytes(of: (digits | 0x3030_3030_3030_3030) &>> zeros, as: UInt64.self)
        return target + (8 &- zeros &>> 3)
    }

    /// Exactly eight digits, with leading zeros; `value` is below 10⁸.
    @inlinable
    @inline(__always)
    static func writeEight(
        _ value: UInt64,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        target.storeBytes(of: eightDigits(value) | 0x3030_3030_3030_3030, as: UInt64.self)
        return target + 8
    }

    /// The digits of a value below 10⁸, one a byte, the first in the lowest: the value is halved into lanes of
    /// four, two and one digits, all lanes at once. The products are exact for what a lane can hold.
    @inlinable
    @inline(__always)
    static func eightDigits(_ value: UInt64) -> UInt64 {
        let upper = value / 10_000
        let fours = upper | (value &- upper &* 10_000) &<< 32
        let hundreds = ((fours &* 10_486) &>> 20) & 0x0000_007F_0000_007F
        let twos = hundreds | (fours &- hundreds &* 100) &<< 16
        let tens = ((twos &* 103) &>> 10) & 0x000F_000F_000F_000F
        return tens | (twos &- tens &* 10) &<< 8
    }

    /// Exactly nine digits, with leading zeros; `value` is below 10⁹.
    @inlinable
    package static func writeNine(_ value: UInt64, at target: UnsafeMutableRawPointer) {
        let first = value / 100_000_000
        digit(first, target)
        _ = writeEight(value &- first &* 100_000_000, at: target + 1)
    }

    /// A finite number that is whole or has at most six decimals, without zeros at the end; nil, and nothing that
    /// counts is written, where it takes more. n / 10⁶ is rounded correctly, so text → double gives `value` again.
    /// Needs `bytesMax` + 8 bytes of room.
    @inlinable
    static func write(
        _ value: Double,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer? {
        let magnitude = value.magnitude
        guard magnitude < 0x1p53 else { return nil }
        target.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        let place = value < 0 ? target + 1 : target
        let whole = UInt64(magnitude)
        if Double(whole) == magnitude { return write(whole, at: place) }
        let scaled = magnitude * 1e6
        guard scaled < 0x1p53 else { return nil }
        // Verified below, so it may round as is fastest.
        let millionths = UInt64(scaled + 0.5)
        guard Double(millionths) / 1e6 == magnitude else { return nil }
        let above = millionths / 1_000_000
        let point = write(above, at: place)
        point.storeBytes(of: UInt8(ascii: "."), as: UInt8.self)
        let digits = eightDigits((millionths &- above &* 1_000_000) &* 100)
        (point + 1).storeBytes(of: digits | 0x3030_3030_3030_3030, as: UInt64.self)
        return point + (9 &- digits.leadingZeroBitCount &>> 3)
    }

    /// Lower-case hexadecimal digits, without leading zeros.
    @inlinable
    static func writeHex(
        _ value: UInt64,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let count = max(1, (67 &- value.leadingZeroBitCount) / 4)
        var place = target
        // Most are longer than a half.
        if count > 8 {
            let upper = hexDigits(UInt32(truncatingIfNeeded: value &>> 32))
            place.storeBytes(of: upper &>> UInt64(8 * (16 &- count)), as: UInt64.self)
            place += count &- 8
        }
        let lower = hexDigits(UInt32(truncatingIfNeeded: value))
        let missing = UInt64(8 * max(0, 8 &- count))
        place.storeBytes(of: lower &>> missing, as: UInt64.self)
        return target + count
    }

    /// Eight digits, the first in the lowest byte.
    @inlinable
    @inline(__always)
    static func hexDigits(_ value: UInt32) -> UInt64 {
        var nibbles = UInt64(value.byteSwapped)
        nibbles = (nibbles | nibbles &<< 16) & 0x0000_FFFF_0000_FFFF
        nibbles = (nibbles | nibbles &<< 8) & 0x00FF_00FF_00FF_00FF
        nibbles = (nibbles &>> 4 | nibbles &<< 8) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = ((nibbles &+ 0x0606_0606_0606_0606) &>> 4) & 0x0101_0101_0101_0101
        return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }

    /// Exactly three digits; `value` is below 1,000.
    @inlinable
    static func writeThree(_ value: UInt64, at target: UnsafeMutableRawPointer) {
        let hundreds = value / 100
        digit(hundreds, target)
        pair(value &- hundreds &* 100, target + 1)
    }

    @inlinable
    @inline(__always)
    static func digit(_ value: UInt64, _ target: UnsafeMutableRawPointer) {
        target.storeBytes(of: 0x30 &+ UInt8(truncatingIfNeeded: value), as: UInt8.self)
    }

    @inlinable
    @inline(__always)
    static func pair(_ value: UInt64, _ target: UnsafeMutableRawPointer) {
        let table = UnsafeRawPointer(pairs.utf8Start)
        let digits = table.loadUnaligned(
            fromByteOffset: Int(truncatingIfNeeded: value) &* 2,
            as: UInt16.self
        )
        target.storeBytes(of: digits, as: UInt16.self)
    }
}
