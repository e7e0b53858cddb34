import TraceModel

/// Decides when a worker writes its checkpoint. A checkpoint writes the whole state, so its interval follows its cost: it
/// takes one part in `Limits.checkpointTimeDivisor` of the worker's time at most, however large the state is. Windows that
/// end meanwhile share the next one. After one that took extremely long (the machine was suspended) the next one waits for
/// `Limits.checkpointSecondsMax` at most. Times are monotonic nanoseconds.
struct CheckpointPlan {
    /// Where the worker stands in the log.
    enum Moment {
        /// Behind a share. All rows have to be written for a checkpoint, and those that come late then begin another run,
        /// so that the window's files can't be made by renaming one.
        case share
        /// Behind a window's end: its rows are written anyway.
        case barrier
        /// Nothing waits to be applied.
        case idle
    }

    /// Share bytes applied since the last checkpoint.
    private var bytes = 0
    /// Whether a window has ended since, whose segments can't be announced before the next one.
    private var hasEndedWindow = false
    private var endedAt: Int64 = .min / 2
    private var cost: Int64 = 0

    private(set) var count: UInt64 = 0
    /// What all of them took.
    private(set) var nanoseconds: Int64 = 0

    /// Counts the bytes of a share.
    mutating func applied(_ bytes: Int) { self.bytes += bytes }

    /// A barrier was applied: its window can be announced once a checkpoint holds it.
    mutating func windowEnded() { hasEndedWindow = true }

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

    /// A checkpoint of all that was applied has become durable.
    mutating func written(from begin: Int64, to end: Int64) {
        bytes = 0
        hasEndedWindow = false
        endedAt = end
        cost = end - begin
        count += 1
        nanoseconds += cost
    }
}
