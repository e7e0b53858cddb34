import TraceModel

/// Slots that a barrier gave to this worker and whose state it has not taken in yet.
struct GainedSlots {
    /// The LSN after the barrier.
    let lsn: LSN
    let slots: [UInt8]
}
