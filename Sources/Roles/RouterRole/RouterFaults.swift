/// Faults that tests plant in the router's decisions, to check that the simulation finds them. Production code sets
/// none.
struct RouterFaults: OptionSet, Sendable {
    let rawValue: UInt32

    // In `CommitPlan`.

    /// Calls are answered before their group is in the log.
    static let ackBeforeCommit = RouterFaults(rawValue: 1 << 0)
    /// A restarted router has forgotten which batches it received.
    static let forgottenBatches = RouterFaults(rawValue: 1 << 1)
    /// A refused batch stays in the de-duplication window, so that it counts as a duplicate if it is sent again.
    static let refusedBatchesStayKnown = RouterFaults(rawValue: 1 << 2)
    /// After a failed sync the group is written once more, as if the disk were full.
    static let retriedSync = RouterFaults(rawValue: 1 << 3)
    /// A verdict that could not be written is treated as durable, so that its dead letter counts.
    static let verdictBeforeCommit = RouterFaults(rawValue: 1 << 4)

    // In `RoutingState`.

    /// A restarted router has forgotten which events were set aside.
    static let forgottenVerdicts = RouterFaults(rawValue: 1 << 5)
    /// New owners of slots do not wait for the old ones.
    static let openGates = RouterFaults(rawValue: 1 << 6)
    /// A share that could not be sent for lack of buffer space is treated as sent.
    static let unsentShares = RouterFaults(rawValue: 1 << 7)
    /// A worker is served while its events are being set aside.
    static let servedWhileHeld = RouterFaults(rawValue: 1 << 8)
    /// The log is trimmed up to what workers have applied, even if no checkpoint contains it.
    static let trimmedToApplied = RouterFaults(rawValue: 1 << 9)
}
