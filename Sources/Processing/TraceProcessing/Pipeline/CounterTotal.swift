/// A sum that never decreases: it saturates at `valueMax`, the largest value that a counter can show.
struct CounterTotal: BitwiseCopyable {
    private(set) var value: UInt64

    static var valueMax: UInt64 { UInt64(Int64.max) }

    init(_ value: UInt64 = 0) { self.value = min(value, Self.valueMax) }

    @inline(__always) mutating func add(_ amount: UInt64) { value = Self.sum(value, amount) }

    @inline(__always) static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? valueMax : min(sum, valueMax)
    }

    var sample: Double { Double(value) }
}
