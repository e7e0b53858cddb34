import SystemIO
import TraceModel

/// A counter of this server that follows one of the agent's, which counts from the start of the traced process.
///
/// The agent's counter is taken as 0 before the first sample and after a restart, so all of the next sample counts.
/// After an eviction the total therefore equals the agent's counter again, and is never lower than before. A sample
/// of 0 is ignored: proto3 cannot distinguish it from a field that was not sent.
struct CumulativeCounter: BitwiseCopyable {
    /// The greatest sample since the restart.
    private(set) var last: UInt64 = 0
    /// The accumulated growth; saturates instead of wrapping.
    private(set) var total: UInt64 = 0

    init() {}

    /// Returns whether the sample shows that the agent's counter has restarted.
    @inline(__always) func falls(to sample: UInt64) -> Bool { sample != 0 && sample < last }

    /// Returns the growth since the last sample, for a window's summary. After a restart that is the whole sample; if
    /// only the process's name is new, what it counted under the old name is excluded.
    @inline(__always) func growth(to sample: UInt64, isRestart: Bool) -> UInt64 {
        if sample >= last { return sample - last }
        return isRestart ? sample : 0
    }

    /// Adds a positive difference and returns it; returns 0 if there is none.
    @inline(__always) @discardableResult mutating func add(_ sample: UInt64) -> UInt64 {
        guard sample > last else { return 0 }
        let difference = sample - last
        grow(by: difference)
        last = sample
        return difference
    }

    /// Follows a counter that the agent may reset at any time, and returns its growth. A sample below the previous
    /// one counts as a whole.
    @inline(__always) mutating func follow(_ sample: UInt64) -> UInt64 {
        let growth = sample >= last ? sample - last : sample
        last = sample
        grow(by: growth)
        return growth
    }

    /// Adds a growth that the agent reports as a difference.
    @inline(__always) mutating func grow(by difference: UInt64) {
        let (sum, overflow) = total.addingReportingOverflow(difference)
        total = overflow ? .max : sum
    }

    /// Starts to follow another traced process. The total continues, as counters never decrease.
    mutating func restart() { last = 0 }

    /// Starts the total at 0, as the series has another name from here on.
    mutating func beginSeries() { total = 0 }

    /// The total as a counter's sample has to be: below 2⁶⁴.
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
