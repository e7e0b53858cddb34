import TraceModel

/// The bytes that a worker's state may take: per slot, and in total. What exceeds them is evicted, the least recently
/// used first.
///
/// Slots have budgets of their own so that the output does not depend on the number of workers. The total is a last
/// guard that several slots at their bounds may exceed together. Then it matters which slots a worker has, so those
/// evictions are counted separately.
package struct StateBudget: Sendable {
    package let bytesMax: Int
    let slotBytesMax: Int
    /// Slots of at most this size evict nothing in favour of others.
    let slotBytesMin: Int

    /// Returns how much of a size is evicted at once. A sweep visits all entries, so larger sweeps make new keys
    /// cheaper. But what is in use must stay even if a budget holds only a few seconds of new keys.
    static func given(upOf bytes: Int) -> Int { bytes / 4 }

    /// Creates the budgets of a worker.
    ///
    /// - Parameter bytesMax: The bytes of all slots together.
    package init(bytesMax: Int = Limits.stateBytesMax) {
        self.init(bytesMax: bytesMax, slotBytesMax: bytesMax / Limits.stateSlotDivisor)
    }

    /// Creates the budgets of a worker.
    ///
    /// - Parameter slotBytesMax: The bytes of one slot.
    package init(bytesMax: Int, slotBytesMax: Int) {
        self.bytesMax = bytesMax
        self.slotBytesMax = slotBytesMax
        slotBytesMin = bytesMax / Slot.count / 4
    }
}
