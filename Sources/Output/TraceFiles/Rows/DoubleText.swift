/// A number with decimals that stands in several rows of an event: its digits, made once for all of them where they are
/// few, as is usual.
@usableFromInline package struct DoubleText {
    @usableFromInline let value: Double
    @usableFromInline let whole: NumberText
    /// Up to eight bytes, of which `decimalCount` count: at least one, which is 0 where the number is whole.
    @usableFromInline let decimals: UInt64
    @usableFromInline let decimalCount: UInt8
    @usableFromInline let isWhole: Bool
    /// Whether the number is to be written as it is.
    @usableFromInline let isLong: Bool

    @inlinable @inline(__always) package init(_ value: Double) {
        self.value = value
        // No number is not below anything either.
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
    /// As `appendJSONDouble`.
    @inlinable @inline(__always) package mutating func appendJSONDouble(_ number: borrowing DoubleText) {
        if number.isLong { return appendJSONDouble(number.value) }
        append(number.whole)
        if !number.isWhole { appendDecimals(number) }
    }

    /// As `appendCSVDouble`.
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
