import ClusterMessages
import TraceModel

/// A window that every slot has announced to its end.
struct MergeJob: Sendable, Equatable {
    let resource: Resource
    let window: UInt64
    let barrierLSN: LSN
    let stem: String
    /// By worker.
    let announcements: [SegmentsClosed]
}
