import SystemIO
import TraceModel
import TraceSummaries

/// What the ends of calls of one function have brought the open window. What else a window's row says of a function is
/// how far its counters have come since the window began (`FunctionMark`): an event has nothing to note for it.
struct FunctionWindow {
    private(set) var totalNanoseconds: UInt64 = 0
    /// Less what calls inside took.
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

    /// Sends for what has been sampled.
    @inline(__always) mutating func prefetchSketch() {
        withUnsafePointer(to: &sketch) { QuantileSketch.prefetch($0) }
    }

    @inline(__always) mutating func withSketch(_ body: (UnsafePointer<QuantileSketch>) -> Void) {
        withUnsafePointer(to: &sketch) { body($0) }
    }

    /// Adds what another function's calls have brought the window.
    mutating func merge(_ other: borrowing FunctionWindow) {
        totalNanoseconds = SummaryValues.sum(totalNanoseconds, other.totalNanoseconds)
        selfNanoseconds = SummaryValues.sum(selfNanoseconds, other.selfNanoseconds)
        maxNanoseconds = max(maxNanoseconds, other.maxNanoseconds)
        sketch.merge(other.sketch)
    }

    /// Begins anew, and keeps the memory of few buckets.
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

/// Where a function's counters stood as the open window began.
struct FunctionMark: BitwiseCopyable {
    var entries: UInt64 = 0
    var completed: UInt64 = 0
    var slow: UInt64 = 0
    var unmatchedExits: UInt64 = 0
}
