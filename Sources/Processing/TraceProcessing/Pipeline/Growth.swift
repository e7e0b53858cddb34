/// What one of an agent's counters has grown by with an event.
struct Growth: BitwiseCopyable {
    /// For counters, which show what the agent has counted, also before the first event that came.
    var counted: UInt64 = 0
    /// For the open window: without what happened before the first event that came.
    var inWindow: UInt64 = 0

    init() {}

    init(counted: UInt64, inWindow: UInt64) {
        self.counted = counted
        self.inWindow = inWindow
    }

    /// The same for both.
    init(_ amount: UInt64) { self.init(counted: amount, inWindow: amount) }
}

/// Differences of unsigned counters that have wrapped below zero stand in the upper half of the numbers.
enum WrappedDifference {
    @inline(__always) static func isWrapped(_ value: UInt64) -> Bool { value >= 1 << 63 }
}
