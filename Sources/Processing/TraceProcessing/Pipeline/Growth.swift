/// The growth of one of an agent's counters by an event.
struct Growth: BitwiseCopyable {
    /// For counters: includes what the agent had counted before the first event arrived.
    var counted: UInt64 = 0
    /// For the open window: excludes what happened before the first event arrived.
    var inWindow: UInt64 = 0

    init() {}

    init(counted: UInt64, inWindow: UInt64) {
        self.counted = counted
        self.inWindow = inWindow
    }

    /// The same growth for both.
    init(_ amount: UInt64) { self.init(counted: amount, inWindow: amount) }
}

/// Detection of unsigned differences that have wrapped below zero: they are in the upper half of the range.
enum WrappedDifference {
    @inline(__always) static func isWrapped(_ value: UInt64) -> Bool { value >= 1 << 63 }
}
