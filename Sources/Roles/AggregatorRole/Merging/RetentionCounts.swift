/// What retention has to say of itself; what is deleted is cumulative since the start.
struct RetentionCounts: Sendable, Equatable {
    var windowsKept = 0
    var bytesKept: UInt64 = 0
    var filesDeleted = 0
    var bytesDeleted: UInt64 = 0
    /// Records that can't be read; their files stay.
    var recordsDamaged = 0
}
