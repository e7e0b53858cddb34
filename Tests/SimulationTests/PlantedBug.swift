/// A mistake made on purpose, to see that the simulation finds it.
enum PlantedBug: CaseIterable, Sendable {
    /// The disk says that it has written, and has not.
    case lyingDataSync
    /// Names are not made durable.
    case noDirectorySync
    /// The router acks before its group is in the log.
    case ackBeforeCommit
    /// A worker's checkpoint is published before the rows that it counts on are synced.
    case checkpointBeforeRows
    /// A worker announces windows that no checkpoint holds.
    case announceBeforeCheckpoint
    /// A restarted router does not know which batches it has.
    case forgottenBatches
    /// A restarted router does not know which events have been set aside.
    case forgottenVerdicts
    /// The router does not wait for the state of slots that change their owner.
    case openGates
}
