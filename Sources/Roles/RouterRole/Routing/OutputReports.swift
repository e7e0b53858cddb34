import TraceModel

/// The workers' reports of their output, combined by resource. A value that the fabric makes and the committer reads.
struct OutputReports: Sendable {
    /// The last report of one worker.
    struct Worker: Sendable {
        /// The LSN from which it continues after a crash.
        var checkpointLSN: LSN = 0
        /// The window of its current rows.
        var window: UInt64 = 0
        /// Bytes of that window's rows, written or buffered.
        var windowBytes = 0
        /// Maximum number of bytes that merging its part of one window writes, over all windows that are not merged.
        var mergeBytes = 0
    }

    /// The open window as known to the fabric.
    var window: UInt64 = 0
    /// The LSN up to which all workers of the resource have applied the log.
    var appliedLSN: InlineArray<6, LSN> = InlineArray(repeating: 0)
    /// Bytes of the open window, summed over all workers of the resource.
    var windowBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// Maximum number of bytes that merging one window of the resource writes.
    var mergeBytes: InlineArray<6, Int> = InlineArray(repeating: 0)

    /// Creates the reports before any worker has sent one; `window` is the open one.
    init(window: UInt64 = 0) { self.window = window }

    /// Combines the reports of the workers that own slots. For each: its last report (nil: none yet), and how far it
    /// has applied the log (nil: it is not connected, and will apply again what follows its checkpoint). `begin` is the
    /// LSN from which a worker without a report continues.
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
