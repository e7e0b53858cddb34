/// The digits of a number that stands in several rows of an event, made once for all of them.
@usableFromInline
package struct NumberText {
    @usableFromInline
    var digits = InlineArray<24, UInt8>(repeating: 0)
    @usableFromInline
    var count = 0

    @inlinable
    @inline(__always)
    package init(_ value: UInt64) {
        // `DecimalText.write` may write this many, of which at most 20 count.
        count = withUnsafeMutableBytes(of: &digits) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            return DecimalText.write(value, at: start) - start
        }
    }
}

extension RowWriter {
    @inlinable
    @inline(__always)
    package mutating func append(_ number: borrowing NumberText) {
        let count = number.count
        withUnsafeBytes(of: number.digits) { append(count, of24: $0.baseAddress.unsafelyUnwrapped) }
    }
}
