import TraceModel

/// What the workers say of their outputs, put together by resource. A value that the fabric makes and the committer reads.
struct OutputReports: Sendable {
    /// What one worker said last.
    struct Worker: Sendable {
        /// Where it goes on from after a crash.
        var checkpointLSN: LSN = 0
        /// The window that its rows go to.
        var window: UInt64 = 0
        /// Bytes of that window's rows, written or waiting.
        var windowBytes = 0
        /// Bytes that merging its part of one window can write at most, of those that are not merged.
        var mergeBytes = 0
    }

    /// The open window as the fabric knows it.
    var window: UInt64 = 0
    /// Up to here all workers of the resource have applied the log.
    var appliedLSN: InlineArray<6, LSN> = InlineArray(repeating: 0)
    /// Of the open window, all workers of the resource together.
    var windowBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// Merging one window of the resource takes so much at most.
    var mergeBytes: InlineArray<6, Int> = InlineArray(repeating: 0)

    /// Before any worker was heard; `window` is the open one.
    init(window: UInt64 = 0) { self.window = window }

    /// `workers`: those that own slots, with what each said last (nil: nothing yet) and how far it has applied the log
    /// (nil: it is not connected, and what it applied behind its checkpoint it will apply again).
    /// `begin`: where a worker goes on from of which nothing is known.
    init(window: UInt64, begin: LSN, workers: [(name: WorkerName, report: Worker?, applied: LSN?)])
    {
        self.window = window
        appliedLSN = InlineArray(repeating: .max)
        for (name, report, applied) in workers {
            let index = Int(name.resource.rawValue)
            let lsn = applied ?? report?.checkpointLSN ?? begin
            appliedLSN[index] = min(appliedLSN[index], lsn)
            guard let report else { continue }
            if report.window == window { windowBytes[index] += report.windowBytes }
            mergeBytes[index] += report.mergeBytes
        }
    }
}
