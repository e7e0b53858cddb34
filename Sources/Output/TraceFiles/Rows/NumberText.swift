/// The digits of a number that several rows of one event contain, rendered once. Held in machine words rather than in
/// an array of bytes, because loading bytes from several recent stores would stall (failed store forwarding).
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

    @inlinable @inline(__always) package init(_ value: UInt64) { self.init(magnitude: value, isNegative: false) }

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
}

extension RowWriter {
    @inlinable @inline(__always) package mutating func append(_ number: borrowing NumberText) {
        at.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        advance(Int(number.sign))
        at.storeBytes(of: number.first, as: UInt64.self)
        advance(Int(number.firstCount))
        guard number.groups > 0 else { return }
        at.storeBytes(of: number.second, as: UInt64.self)
        advance(8)
        guard number.groups > 1 else { return }
        at.storeBytes(of: number.third, as: UInt64.self)
        advance(8)
    }
}

/// The digits of a floating-point number that several rows of one event contain, rendered once if it has at most six
/// decimals, as is usual.
@usableFromInline package struct DoubleText {
    @usableFromInline let value: Double
    @usableFromInline let whole: NumberText
    /// Up to eight bytes, of which the first `decimalCount` (at least one) are valid; `0` for an integer.
    @usableFromInline let decimals: UInt64
    @usableFromInline let decimalCount: UInt8
    @usableFromInline let isWhole: Bool
    /// Whether the number needs more decimals and is rendered for each row.
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

extension RowWriter {
    /// Appends what `appendJSONDouble` appends for the number itself.
    @inlinable @inline(__always) package mutating func appendJSONDouble(_ number: borrowing DoubleText) {
        if number.isLong { return appendJSONDouble(number.value) }
        append(number.whole)
        if !number.isWhole { appendDecimals(number) }
    }

    /// Appends what `appendCSVDouble` appends for the number itself.
    @inlinable @inline(__always) package mutating func appendCSVDouble(_ number: borrowing DoubleText) {
        if number.isLong { return appendCSVDouble(number.value) }
        append(number.whole)
        appendDecimals(number)
    }

    @inlinable @inline(__always) mutating func appendDecimals(_ number: borrowing DoubleText) {
        append(byte: UInt8(ascii: "."))
        at.storeBytes(of: number.decimals, as: UInt64.self)
        advance(Int(number.decimalCount))
    }
}
