/// The digits of a number, to be rendered once if several rows of an event contain it. Held in machine words rather than
/// in an array of bytes, because loading bytes from several recent stores would stall (failed store forwarding).
@usableFromInline package struct NumberText: BitwiseCopyable {
    /// One to eight digits, the first in the lowest byte.
    @usableFromInline let first: UInt64
    /// Eight digits each: `second` if `groups` is 1 or 2, `third` if it is 2.
    @usableFromInline let second: UInt64
    @usableFromInline let third: UInt64
    @usableFromInline let firstCount: UInt8
    @usableFromInline let groups: UInt8
    /// 1 if the number is negative.
    @usableFromInline let sign: UInt8

    @inlinable @inline(__always) package init(_ value: UInt64) {
        self.init(magnitude: value, isNegative: false)
    }

    @inlinable @inline(__always) package init(_ value: Int64) {
        self.init(magnitude: value.magnitude, isNegative: value < 0)
    }

    @inlinable @inline(__always) init(magnitude: UInt64, isNegative: Bool) {
        sign = isNegative ? 1 : 0
        var upper = magnitude
        var (second, third, groups): (UInt64, UInt64, UInt8) = (0, 0, 0)
        if magnitude >= 100_000_000 {
            upper = magnitude / 100_000_000
            second = DecimalText.eightText(magnitude &- upper &* 100_000_000)
            groups = 1
            if upper >= 100_000_000 {
                third = second
                let highest = upper / 100_000_000
                second = DecimalText.eightText(upper &- highest &* 100_000_000)
                upper = highest
                groups = 2
            }
        }
        (first, firstCount) = DecimalText.firstText(upper)
        self.second = second
        self.third = third
        self.groups = groups
    }

    /// Writes the digits, and up to eight bytes after them. Returns the end of the digits.
    @inlinable @inline(__always) package func write(
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        unsafe target.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        var end = unsafe target + Int(sign)
        unsafe end.storeBytes(of: first, as: UInt64.self)
        unsafe end += Int(firstCount)
        guard groups > 0 else { return unsafe end }
        unsafe end.storeBytes(of: second, as: UInt64.self)
        unsafe end += 8
        guard groups > 1 else { return unsafe end }
        unsafe end.storeBytes(of: third, as: UInt64.self)
        return unsafe end + 8
    }
}

/// The digits of a floating-point number, rendered once if it has at most six decimals that are exact. That is
/// nearly always the case for agents' values.
@usableFromInline package struct DoubleText {
    @usableFromInline let value: Double
    @usableFromInline let whole: NumberText
    /// Up to eight bytes, of which the first `decimalCount` (at least one) are valid; `0` for an integer.
    @usableFromInline let decimals: UInt64
    @usableFromInline let decimalCount: UInt8
    @usableFromInline let isWhole: Bool
    /// Whether the number needs more decimals. It is then rendered for each row, which takes ten times as long.
    @usableFromInline let isLong: Bool

    @inlinable @inline(__always) package init(_ value: Double) {
        self.value = value
        // NaN compares false, so it counts as too long, too.
        guard let (whole, millionths) = DecimalText.split(value.magnitude) else {
            self.whole = NumberText(UInt64(0))
            (decimals, decimalCount) = (0, 0)
            isWhole = false
            isLong = true
            return
        }
        self.whole = NumberText(magnitude: whole, isNegative: value < 0)
        (decimals, decimalCount) = DecimalText.decimalsText(millionths)
        isWhole = millionths == 0
        isLong = false
    }
}
