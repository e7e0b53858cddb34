/// Counts of the retention; counts of deletions are cumulative since the start.
struct RetentionCounts: Sendable, Equatable {
    var windowsKept = 0
    var bytesKept: UInt64 = 0
    var filesDeleted = 0
    var bytesDeleted: UInt64 = 0
    /// Records that cannot be read; their files stay.
    var recordsDamaged = 0
}
