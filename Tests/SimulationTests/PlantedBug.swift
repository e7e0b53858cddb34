@testable import RouterRole

/// A mistake made on purpose, to see that the simulation finds it.
enum PlantedBug: CaseIterable, Sendable {
    /// The disk says that it has written, and has not.
    case lyingDataSync
    /// Names are not made durable.
    case noDirectorySync
    /// A worker's checkpoint is published before the rows that it counts on are synced.
    case checkpointBeforeRows
    /// A worker announces windows that no checkpoint holds.
    case announceBeforeCheckpoint
    /// A restarted router does not know which events have been set aside.
    case forgottenVerdicts
    /// The router does not wait for the state of slots that change their owner.
    case openGates
    // In the router's own code: see `RouterFaults`.
    case ackBeforeCommit
    case forgottenBatches
    case refusedBatchesStayKnown
    case retriedSync

    /// The same in the router's code; nil where it lies elsewhere.
    var fault: RouterFaults? {
        switch self {
        case .lyingDataSync, .noDirectorySync, .checkpointBeforeRows, .announceBeforeCheckpoint, .forgottenVerdicts,
            .openGates:
            nil
        case .ackBeforeCommit: .ackBeforeCommit
        case .forgottenBatches: .forgottenBatches
        case .refusedBatchesStayKnown: .refusedBatchesStayKnown
        case .retriedSync: .retriedSync
        }
    }
}
