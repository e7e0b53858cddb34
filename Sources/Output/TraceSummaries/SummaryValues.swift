package import SystemIO
package import TraceModel

// Encoding: u8 number of columns up to the last one that is not 0, then each of them as a varint. In the format of
// 0.1.0: eight u64, little-endian.

/// The numbers of one summary row, by the column positions of its table. All are integers, so that a sum does not
/// depend on the order; sums saturate instead of wrapping.
@usableFromInline package struct SummaryValues: BitwiseCopyable, Sendable, Equatable {
    @inlinable package static var count: Int { 12 }

    @usableFromInline var numbers = InlineArray<12, UInt64>(repeating: 0)

    @inlinable package init() {}

    @inlinable package subscript(_ column: Int) -> UInt64 {
        get { numbers[column] }
        set { numbers[column] = newValue }
    }

    /// Adds to a column; the sum saturates.
    @inlinable package mutating func add(_ amount: UInt64, to column: Int) {
        self[column] = Self.sum(self[column], amount)
    }

    /// Keeps the greater number.
    @inlinable package mutating func raise(_ column: Int, to value: UInt64) {
        if value > self[column] { self[column] = value }
    }

    /// Keeps the lower number; 0 stands for none.
    @inlinable package mutating func lower(_ column: Int, to value: UInt64) {
        if value != 0, self[column] == 0 || value < self[column] { self[column] = value }
    }

    /// Returns the sum; it saturates.
    @inlinable package static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// Returns the product; it saturates.
    package static func product(_ factors: UInt64...) -> UInt64 {
        factors.reduce(1) { product, factor in
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            return overflow ? .max : next
        }
    }

    @inlinable package static func == (left: SummaryValues, right: SummaryValues) -> Bool {
        (0..<count).allSatisfy { left[$0] == right[$0] }
    }

    // MARK: Encoding

    /// Number of columns in the format of 0.1.0.
    private static let fixedCount = 8
    static let encodedBytesMax = 1 + 10 * count

    /// Appends the numbers in the encoding described above.
    package func encode(into buffer: inout RawBuffer) {
        var used = Self.count
        while used > 0, numbers[used - 1] == 0 { used -= 1 }
        buffer.append(byte: UInt8(used))
        for column in 0..<used { buffer.append(varint: numbers[column]) }
    }

    /// Decodes a row's numbers.
    /// - Parameter isFixed: Whether the numbers are in the format of 0.1.0.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no row's numbers.
    package init(decoding reader: inout StateReader, isFixed: Bool) throws(TraceError) {
        if isFixed {
            for column in 0..<Self.fixedCount { numbers[column] = try reader.integer(UInt64.self) }
            return
        }
        let used = Int(try reader.integer(UInt8.self))
        guard used <= Self.count else { throw Self.damaged }
        for column in 0..<used { numbers[column] = try reader.varint() }
    }

    private static let damaged = TraceError(.corrupt, "A stored row of a summary is damaged")
}
