/// The digits of a number that stands in several rows of an event, made once for all of them.
@usableFromInline
package struct NumberText {
    @usableFromInline
    var digits: InlineArray<24, UInt8>
    @usableFromInline
    var count: Int

    @inlinable
    @inline(__always)
    package init(_ value: UInt64) {
        digits = InlineArray(repeating: 0)
        count = withUnsafeMutableBytes(of: &digits) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            return DecimalText.write(value, at: start) - start
        }
    }

    @inlinable
    @inline(__always)
    package init(_ value: Int64) {
        digits = InlineArray(repeating: 0)
        count = withUnsafeMutableBytes(of: &digits) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            start.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
            return DecimalText.write(value.magnitude, at: value < 0 ? start + 1 : start) - start
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
