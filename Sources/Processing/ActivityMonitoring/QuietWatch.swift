/// Notices when batches stop coming. Times are monotonic nanoseconds.
struct QuietWatch {
    private let pauseNanoseconds: Int64
    private let inactivityNanoseconds: Int64?
    private var lastBatch: Int64
    private var hasBatchSincePause = false
    private var hasToldInactive = false

    init(now: Int64, pauseSeconds: Int, inactivitySeconds: Int?) {
        pauseNanoseconds = Int64(pauseSeconds) * 1_000_000_000
        inactivityNanoseconds = inactivitySeconds.map { Int64($0) * 1_000_000_000 }
        lastBatch = now
    }

    mutating func batchReceived(now: Int64) {
        lastBatch = max(lastBatch, now)
        hasBatchSincePause = true
        hasToldInactive = false
    }

    mutating func tick(now: Int64) -> ActivityEvent? {
        let seconds = Int((now - lastBatch) / 1_000_000_000)
        if let deadline = inactivityDeadline, now >= deadline {
            hasToldInactive = true
            // Ending finalizes the open window too.
            hasBatchSincePause = false
            return .inactive(seconds: seconds)
        }
        if let deadline = pauseDeadline, now >= deadline {
            hasBatchSincePause = false
            return .paused(seconds: seconds)
        }
        return nil
    }

    var nextDeadline: Int64? { earlier(inactivityDeadline, pauseDeadline) }

    private var pauseDeadline: Int64? { hasBatchSincePause ? lastBatch + pauseNanoseconds : nil }

    private var inactivityDeadline: Int64? {
        guard let inactivityNanoseconds, !hasToldInactive else { return nil }
        return lastBatch + inactivityNanoseconds
    }
}

/// The earlier of two times, of which either may never come.
func earlier(_ left: Int64?, _ right: Int64?) -> Int64? {
    guard let left, let right else { return left ?? right }
    return min(left, right)
}
