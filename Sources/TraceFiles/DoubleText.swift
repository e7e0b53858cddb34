/// A number with decimals that stands in several rows of an event: its digits, made once for all of them where they are
/// few, as is usual.
@usableFromInline
package struct DoubleText {
    @usableFromInline
    let value: Double
    @usableFromInline
    var digits: InlineArray<32, UInt8>
    /// How many bytes of them count, 24 at most; 0 where the number is to be written as it is.
    @usableFromInline
    var count: Int

    @inlinable
    @inline(__always)
    package init(_ value: Double) {
        self.value = value
        digits = InlineArray(repeating: 0)
        count = 0
        guard value.isFinite else { return }
        count = withUnsafeMutableBytes(of: &digits) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            return DecimalText.write(value, at: start).map { $0 - start } ?? 0
        }
    }
}

extension RowWriter {
    /// As `appendJSONDouble`.
    @inlinable
    @inline(__always)
    package mutating func appendJSONDouble(_ number: borrowing DoubleText) {
        guard number.count > 0 else { return appendJSONDouble(number.value) }
        appendDigits(number)
    }

    /// As `appendCSVDouble`.
    @inlinable
    @inline(__always)
    package mutating func appendCSVDouble(_ number: borrowing DoubleText) {
        guard number.count > 0 else { return appendCSVDouble(number.value) }
        appendDigits(number)
    }

    @inlinable
    @inline(__always)
    mutating func appendDigits(_ number: borrowing DoubleText) {
        let count = number.count
        withUnsafeBytes(of: number.digits) { append(count, of24: $0.baseAddress.unsafelyUnwrapped) }
    }
}
