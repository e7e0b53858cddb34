import ClusterMessages
import TraceModel

/// A window that every slot has announced to its end.
struct MergeJob: Sendable, Equatable {
    let resource: Resource
    let window: UInt64
    let barrierLSN: LSN
    let stem: String
    /// By worker and window: also those of windows before, where their barriers were lost with a part of the log.
    let announcements: [SegmentsClosed]
}
