import TraceModel

/// How many bytes a worker's state may take: that of one slot, and that of all. What is beyond gives way, the least
/// recently used first.
///
/// Slots have budgets of their own so that outputs are the same for any number of workers. That of all slots together is
/// a last guard, which several slots at their bounds may meet: then it matters which slots a worker has, and what gives
/// way is counted apart.
package struct StateBudget: Sendable {
    package let bytesMax: Int
    let slotBytesMax: Int
    /// Slots that take no more give nothing up for the others.
    let slotBytesMin: Int

    /// How much of so many bytes is given up at once. A sweep visits all that there is, so that the more goes, the less a new
    /// key costs; but what is in use has to stay also where a budget holds no more than a few seconds of new keys.
    static func given(upOf bytes: Int) -> Int { bytes / 4 }

    /// - Parameter bytesMax: of all slots of a worker.
    package init(bytesMax: Int = Limits.stateBytesMax) {
        self.init(bytesMax: bytesMax, slotBytesMax: bytesMax / Limits.stateSlotDivisor)
    }

    /// - Parameter slotBytesMax: of one slot.
    package init(bytesMax: Int, slotBytesMax: Int) {
        self.bytesMax = bytesMax
        self.slotBytesMax = slotBytesMax
        slotBytesMin = bytesMax / Slot.count / 4
    }
}
