import TraceModel

/// Slots that a barrier gave to this worker, until their state has been taken in.
struct GainedSlots {
    /// The end of the barrier.
    let lsn: LSN
    let slots: [UInt8]
}
