import TraceFiles
import TraceModel

/// What waits to be merged, and how far the merge under way is.
struct MergeState: Sendable, Equatable {
    struct Current: Sendable, Equatable {
        let resource: Resource
        let window: UInt64
        /// Bytes of segments.
        var progress: MergeProgress
    }

    /// Windows that a worker has closed and that are not merged; the one being merged is not counted.
    var waiting: [Resource: Int] = [:]
    var current: Current?
    /// Whose damaged segments are being made again.
    var rebuilding: WorkerWindow?
}
