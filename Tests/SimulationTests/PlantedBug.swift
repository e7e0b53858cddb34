@testable import AggregatorRole
@testable import RouterRole
@testable import WorkerRole

/// A deliberate bug that the simulation must find.
enum PlantedBug: CaseIterable, Sendable {
    /// The disk reports a sync that it has not done.
    case lyingDataSync
    /// Directories are not synced.
    case noDirectorySync
    // Bugs in the worker's own code: see `WorkerFaults`.
    case checkpointBeforeRows
    case announceBeforeCheckpoint
    /// Neither the router nor the gaining worker waits for slots that change their owner.
    case openGates
    // Bugs in the router's own code: see `RouterFaults`.
    case ackBeforeCommit
    case forgottenBatches
    case refusedBatchesStayKnown
    case retriedSync
    case verdictBeforeCommit
    case forgottenVerdicts
    case unsentShares
    case servedWhileHeld
    case trimmedToApplied
    // Bugs in the aggregator's own code: see `AggregatorFaults`.
    case partialWindows
    case unsavedMarks

    /// The bug as a fault of the worker; nil if it is elsewhere.
    var workerFault: WorkerFaults? {
        switch self {
        case .checkpointBeforeRows: .checkpointBeforeRows
        case .announceBeforeCheckpoint: .announceBeforeCheckpoint
        case .openGates: .openGates
        default: nil
        }
    }

    /// The bug as a fault of the router; nil if it is elsewhere.
    var routerFault: RouterFaults? {
        switch self {
        case .lyingDataSync, .noDirectorySync, .checkpointBeforeRows, .announceBeforeCheckpoint,
            .partialWindows, .unsavedMarks:
            nil
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

    /// The bug as a fault of the aggregator; nil if it is elsewhere.
    var aggregatorFault: AggregatorFaults? {
        switch self {
        case .partialWindows: .partialWindows
        case .unsavedMarks: .unsavedMarks
        default: nil
        }
    }
}
