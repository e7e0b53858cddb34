import SystemIO
import TraceModel
import TraceSummaries

/// Durations of calls of one function that ended in the open window. The window's other values are the growth of the
/// function's counters since the window began (`FunctionMark`), so that events need not update them.
struct FunctionWindow {
    private(set) var totalNanoseconds: UInt64 = 0
    /// The total without calls inside.
    private(set) var selfNanoseconds: UInt64 = 0
    private(set) var maxNanoseconds: UInt64 = 0
    private var sketch = QuantileSketch()

    init() {}

    @inline(__always) mutating func complete(nanoseconds: UInt64, selfNanoseconds: UInt64) {
        totalNanoseconds = SummaryValues.sum(totalNanoseconds, nanoseconds)
        self.selfNanoseconds = SummaryValues.sum(self.selfNanoseconds, selfNanoseconds)
        maxNanoseconds = max(maxNanoseconds, nanoseconds)
        sketch.insert(nanoseconds)
    }

    /// Prefetches the sketch.
    @inline(__always) mutating func prefetchSketch() {
        withUnsafePointer(to: &sketch) { QuantileSketch.prefetch($0) }
    }

    @inline(__always) mutating func withSketch(_ body: (UnsafePointer<QuantileSketch>) -> Void) {
        withUnsafePointer(to: &sketch) { body($0) }
    }

    /// Adds another function's values of the window.
    mutating func merge(_ other: borrowing FunctionWindow) {
        totalNanoseconds = SummaryValues.sum(totalNanoseconds, other.totalNanoseconds)
        selfNanoseconds = SummaryValues.sum(selfNanoseconds, other.selfNanoseconds)
        maxNanoseconds = max(maxNanoseconds, other.maxNanoseconds)
        sketch.merge(other.sketch)
    }

    /// Resets the values, and keeps the memory of a small sketch.
    mutating func removeAll() {
        totalNanoseconds = 0
        selfNanoseconds = 0
        maxNanoseconds = 0
        sketch.removeAll()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(varint: totalNanoseconds)
        buffer.append(varint: selfNanoseconds)
        buffer.append(varint: maxNanoseconds)
        sketch.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        totalNanoseconds = try reader.varint()
        if reader.version > StateVersion.beforeDialects { selfNanoseconds = try reader.varint() }
        maxNanoseconds = try reader.varint()
        sketch = try QuantileSketch(decoding: &reader)
    }
}

/// The values of a function's counters when the open window began.
struct FunctionMark: BitwiseCopyable {
    var entries: UInt64 = 0
    var completed: UInt64 = 0
    var slow: UInt64 = 0
    var unmatchedExits: UInt64 = 0
}
