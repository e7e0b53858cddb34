/// Faults that tests plant in the aggregator's decisions, to check that the simulation finds them. Production code sets
/// none.
struct AggregatorFaults: OptionSet, Sendable {
    let rawValue: UInt32

    /// A window is merged as soon as one worker has announced it, whichever slots are missing.
    static let partialWindows = AggregatorFaults(rawValue: 1 << 0)
    /// The mark of a merged window is treated as saved without being saved.
    static let unsavedMarks = AggregatorFaults(rawValue: 1 << 1)
}
