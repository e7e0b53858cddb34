/// What the upload thread has done and what waits. Counts are cumulative since the start.
struct UploadState: Sendable, Equatable {
    /// The object store, as `s3://bucket/prefix`.
    let address: String
    let cell: String
    var files = 0
    var bytes: UInt64 = 0
    /// Attempts to upload a window that failed.
    var failures = 0
    /// Windows with final files on this machine only.
    var waitingWindows = 0
    /// When the oldest of them became final, in seconds since the epoch; nil if none waits.
    var oldestWaitingAt: Int64?
    /// Age of the oldest of them, where this state is shown.
    var oldestWaitingSeconds: Int64 = 0
    /// Why the last attempt failed; nil after one that succeeded.
    var problem: String?

    init(address: String, cell: String) {
        self.address = address
        self.cell = cell
    }
}
