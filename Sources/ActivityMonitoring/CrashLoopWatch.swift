/// Notices which members fail again and again. Times are monotonic nanoseconds.
struct CrashLoopWatch {
    private struct Failures {
        /// Ascending; never more than make a loop.
        var times: [Int64] = []
        var isTold = false
    }

    private let failuresMin: Int
    private let windowNanoseconds: Int64
    private var members: [ClusterMember: Failures] = [:]

    init(failuresMin: Int, windowSeconds: Int) {
        self.failuresMin = failuresMin
        windowNanoseconds = Int64(windowSeconds) * 1_000_000_000
    }

    /// Says when this failure makes it a loop. A loop is told again only after a whole window without
    /// a failure, as restarts slow down while it lasts.
    mutating func failed(_ member: ClusterMember, now: Int64) -> ActivityEvent? {
        var failures = members[member] ?? Failures()
        failures.times.removeAll { $0 <= now - windowNanoseconds }
        if failures.times.isEmpty { failures.isTold = false }
        failures.times.append(now)
        if failures.times.count > failuresMin { failures.times.removeFirst() }
        defer { members[member] = failures }
        guard failures.times.count >= failuresMin, !failures.isTold else { return nil }
        failures.isTold = true
        return .crashLoop(member, failures: failures.times.count)
    }

    mutating func forget(_ member: ClusterMember) { members[member] = nil }
}
