/// Mistakes that tests plant in the router's decisions, to see that the simulation finds them. Production has none.
struct RouterFaults: OptionSet, Sendable {
    let rawValue: UInt32

    // In `CommitPlan`.

    /// Calls are answered before their group is in the log.
    static let ackBeforeCommit = RouterFaults(rawValue: 1 << 0)
    /// A restarted router does not know which batches it has.
    static let forgottenBatches = RouterFaults(rawValue: 1 << 1)
    /// A batch that was refused is still taken for stored, so that it is a duplicate when it comes again.
    static let refusedBatchesStayKnown = RouterFaults(rawValue: 1 << 2)
    /// After a failed sync the group is written once more, as if the disk were full.
    static let retriedSync = RouterFaults(rawValue: 1 << 3)
    /// A verdict that could not be written is taken for durable, so that its dead letter counts.
    static let verdictBeforeCommit = RouterFaults(rawValue: 1 << 4)

    // In `RoutingState`.

    /// A restarted router does not know which events have been set aside.
    static let forgottenVerdicts = RouterFaults(rawValue: 1 << 5)
    /// Slots are not waited for that change their owner.
    static let openGates = RouterFaults(rawValue: 1 << 6)
    /// A share that found no room on its way is taken for sent.
    static let unsentShares = RouterFaults(rawValue: 1 << 7)
    /// A worker goes on while its events are being set aside.
    static let servedWhileHeld = RouterFaults(rawValue: 1 << 8)
    /// The log is trimmed up to what workers have applied, whether or not a checkpoint holds it.
    static let trimmedToApplied = RouterFaults(rawValue: 1 << 9)
}
