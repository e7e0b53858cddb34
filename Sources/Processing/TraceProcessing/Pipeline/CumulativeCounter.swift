import SystemIO
import TraceModel

/// A counter of ours that follows one of the agent's, which counts from the start of the traced process.
///
/// Before the first sample and after a restart the agent's stands at 0, so all of the next sample counts:
/// after an eviction, too, ours is again what the agent's is, and never less than it was. A sample of 0
/// says nothing: proto3 can't tell it from a field that isn't sent.
struct CumulativeCounter: BitwiseCopyable {
    /// The greatest sample since the restart.
    private(set) var last: UInt64 = 0
    /// What ours has grown to; stays at its end rather than wrap.
    private(set) var total: UInt64 = 0

    init() {}

    /// Whether the agent's counter has begun anew.
    @inline(__always) func falls(to sample: UInt64) -> Bool { sample != 0 && sample < last }

    /// What the agent's counter has grown by since the last sample, for a window's summary. Where it has begun
    /// anew, all of it; where only the process's name is new, not what it counted under the old one.
    @inline(__always) func growth(to sample: UInt64, isRestart: Bool) -> UInt64 {
        if sample >= last { return sample - last }
        return isRestart ? sample : 0
    }

    /// Adds a positive difference; returns it, 0 where there is none.
    @inline(__always) @discardableResult mutating func add(_ sample: UInt64) -> UInt64 {
        guard sample > last else { return 0 }
        let difference = sample - last
        grow(by: difference)
        last = sample
        return difference
    }

    /// Follows a counter that the agent may set back to 0 at any time: what it has grown by. A sample below the last
    /// one is all new.
    @inline(__always) mutating func follow(_ sample: UInt64) -> UInt64 {
        let growth = sample >= last ? sample - last : sample
        last = sample
        grow(by: growth)
        return growth
    }

    /// Adds what the agent says that its counter has grown by.
    @inline(__always) mutating func grow(by difference: UInt64) {
        let (sum, overflow) = total.addingReportingOverflow(difference)
        total = overflow ? .max : sum
    }

    /// The traced process is another one; ours goes on, as counters never go back.
    mutating func restart() { last = 0 }

    /// The series has another name from here on and begins at 0.
    mutating func beginSeries() { total = 0 }

    /// As a counter's sample has to be: below 2⁶⁴.
    var value: Double { min(Double(total), 0x1p64.nextDown) }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: last)
        buffer.append(integer: total)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        last = try reader.integer(UInt64.self)
        total = try reader.integer(UInt64.self)
    }
}
