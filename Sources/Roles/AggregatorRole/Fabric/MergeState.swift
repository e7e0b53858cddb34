import TraceFiles
import TraceModel

/// Number of windows that wait for a merge, and progress of the current merge.
struct MergeState: Sendable, Equatable {
    /// The current merge.
    struct Current: Sendable, Equatable {
        let resource: Resource
        let window: UInt64
        /// Progress in bytes of segments.
        var progress: MergeProgress
    }

    /// Windows that a worker has closed and that are not merged, without the one being merged.
    var waiting: [Resource: Int] = [:]
    var current: Current?
    /// Window of the worker whose damaged segments are being rebuilt.
    var rebuilding: WorkerWindow?
}
