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
    /// Slots are not waited for that change their owner, neither by the router nor by the worker that gains them.
    case openGates
    // In the router's own code: see `RouterFaults`.
    case ackBeforeCommit
    case forgottenBatches
    case refusedBatchesStayKnown
    case retriedSync
    case verdictBeforeCommit
    case forgottenVerdicts
    case unsentShares
    case servedWhileHeld
    case trimmedToApplied

    /// The same in the router's code; nil where it lies elsewhere.
    var fault: RouterFaults? {
        switch self {
        case .lyingDataSync, .noDirectorySync, .checkpointBeforeRows, .announceBeforeCheckpoint: nil
        case .openGates: .openGates
        case .ackBeforeCommit: .ackBeforeCommit
        case .forgottenBatches: .forgottenBatches
        case .refusedBatchesStayKnown: .refusedBatchesStayKnown
        case .retriedSync: .retriedSync
        case .verdictBeforeCommit: .verdictBeforeCommit
        case .forgottenVerdicts: .forgottenVerdicts
        case .unsentShares: .unsentShares
        case .servedWhileHeld: .servedWhileHeld
        case .trimmedToApplied: .trimmedToApplied
        }
    }
}
