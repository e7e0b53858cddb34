package import SystemIO
package import TraceModel

/// The numbers of one row of a summary, by the positions of its table's columns. All are whole, so that a
/// sum is the same in any order; one that would wrap stays at its end.
@usableFromInline
package struct SummaryValues: BitwiseCopyable, Sendable, Equatable {
    @inlinable
    package static var count: Int { 8 }

    @usableFromInline
    var numbers = InlineArray<8, UInt64>(repeating: 0)

    @inlinable
    package init() {}

    @inlinable
    package subscript(_ column: Int) -> UInt64 {
        get { numbers[column] }
        set { numbers[column] = newValue }
    }

    @inlinable
    package mutating func add(_ amount: UInt64, to column: Int) {
        self[column] = Self.sum(self[column], amount)
    }

    @inlinable
    package mutating func raise(_ column: Int, to value: UInt64) {
        if value > self[column] { self[column] = value }
    }

    @inlinable
    package static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// Stays at its end rather than wrap.
    package static func product(_ factors: UInt64...) -> UInt64 {
        factors.reduce(1) { product, factor in
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            return overflow ? .max : next
        }
    }

    @inlinable
    package static func == (left: SummaryValues, right: SummaryValues) -> Bool {
        (0..<count).allSatisfy { left[$0] == right[$0] }
    }

    package func encode(into buffer: inout RawBuffer) {
        for column in 0..<Self.count { buffer.append(integer: numbers[column]) }
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for column in 0..<Self.count { numbers[column] = try reader.integer(UInt64.self) }
    }
}
