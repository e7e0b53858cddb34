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
}
