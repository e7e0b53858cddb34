import SystemIO
import TraceMetrics
import TraceModel

/// The bytes that a window's trace may use to repeat the calls of one slot that are open at its beginning.
///
/// A slot earns `Limits.repeatedBytesPerEvent` for each event since it last began a window, and at least
/// `Limits.repeatedBytesPerSlotMin`. The budget is part of the slot's state, so that what is repeated does not depend
/// on the number of workers.
struct RepetitionBudget: BitwiseCopyable {
    /// The window that `bytesLeft` is for.
    private var window = UInt64.max
    private var bytesLeft = 0
    /// The slot's count of events when that window began.
    private var events: UInt64 = 0

    init() {}

    /// Returns the bytes that the next process of the slot may use in `window`: three quarters of the rest, so that
    /// one process with many calls does not use all of it. `events`: the slot's count of events so far.
    mutating func allowance(in window: UInt64, events: UInt64) -> Int {
        if self.window != window {
            self.window = window
            let earned = (events &- self.events) &* UInt64(Limits.repeatedBytesPerEvent)
            bytesLeft = max(Limits.repeatedBytesPerSlotMin, Int(clamping: earned))
            self.events = events
        }
        return bytesLeft / 4 * 3
    }

    mutating func spend(_ bytes: Int) { bytesLeft -= bytes }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: window)
        buffer.append(integer: Int64(bytesLeft))
        buffer.append(integer: events)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        window = try reader.integer(UInt64.self)
        bytesLeft = Int(try reader.integer(Int64.self))
        events = try reader.integer(UInt64.self)
    }
}
