import TraceModel

/// Decides when a worker writes its checkpoint. A checkpoint writes the whole state, so its interval follows its cost:
/// checkpoints take at most one part in `Limits.checkpointTimeDivisor` of the worker's time, however large the state
/// is. Windows that end in between share the next one. After an extremely slow one (the machine was suspended) the next
/// one is due after `Limits.checkpointSecondsMax` at the latest. Times are monotonic nanoseconds.
struct CheckpointPlan {
    /// The worker's position in the log.
    enum Moment {
        /// After a share. A checkpoint has to write all buffered rows; rows that arrive late then start another run, so
        /// the window's final files cannot be made by renaming a single run.
        case share
        /// After a window's end, where all rows are written anyway.
        case barrier
        /// No share is waiting.
        case idle
    }

    /// Bytes of shares applied since the last checkpoint.
    private var bytes = 0
    /// Whether a window has ended since the last checkpoint; its segments can be announced only after the next one.
    private var hasEndedWindow = false
    private var endedAt: Int64 = .min / 2
    private var cost: Int64 = 0

    private(set) var count: UInt64 = 0
    /// Time that all checkpoints took.
    private(set) var nanoseconds: Int64 = 0

    /// Counts the bytes of an applied share.
    mutating func applied(_ bytes: Int) { self.bytes += bytes }

    /// Notes that a barrier was applied: its window is announced after the next checkpoint.
    mutating func windowEnded() { hasEndedWindow = true }

    /// Returns whether a checkpoint is due: enough was applied or a window ended, and the interval has passed.
    func isDue(_ moment: Moment, at now: Int64) -> Bool {
        let isDue =
            switch moment {
            case .share: bytes >= 2 * Limits.checkpointBytes
            case .barrier, .idle: hasEndedWindow || bytes >= Limits.checkpointBytes
            }
        guard isDue else { return false }
        let interval = (Limits.checkpointTimeDivisor - 1) * cost
        return now - endedAt >= min(interval, Limits.checkpointSecondsMax * 1_000_000_000)
    }

    /// Notes that a checkpoint of everything applied is durable.
    mutating func written(from begin: Int64, to end: Int64) {
        bytes = 0
        hasEndedWindow = false
        endedAt = end
        cost = end - begin
        count += 1
        nanoseconds += cost
    }
}
