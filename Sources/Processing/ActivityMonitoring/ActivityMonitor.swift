package import TraceModel

/// A change that the monitor detects; each is reported once.
package enum ActivityEvent: Sendable, Equatable {
    /// No batch came for a while, and some came since the last pause: the open window can be finalized.
    case paused(seconds: Int)
    /// No batch came for the configured timeout: the cluster finalizes and ends.
    case inactive(seconds: Int)
    /// An expected member sends no heartbeat and may hang.
    case late(ClusterMember, silentSeconds: Int)
    /// A member that was reported late is heard from again.
    case recovered(ClusterMember, silentSeconds: Int)
}

/// A process whose heartbeats are watched.
package enum ClusterMember: Hashable, Sendable, Comparable, CustomStringConvertible {
    case router
    case aggregator
    case worker(WorkerName)

    package var description: String {
        switch self {
        case .router: "router"
        case .aggregator: "aggregator"
        case .worker(let name): name.description
        }
    }

    package static func < (left: ClusterMember, right: ClusterMember) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int {
        switch self {
        case .router: 0
        case .aggregator: 1
        case .worker(let name):
            2 + Int(name.resource.rawValue) * Limits.workersPerResourceMax + name.index
        }
    }
}

/// Detects which of the expected members send no heartbeat. Times are monotonic nanoseconds.
struct MemberWatch {
    /// When a member was last heard from, and whether it was reported late.
    private struct Heartbeat {
        var lastHeard: Int64
        var isLate = false
    }

    private let lateNanoseconds: Int64
    private var heartbeats: [ClusterMember: Heartbeat] = [:]

    init(lateMilliseconds: Int) { lateNanoseconds = Int64(lateMilliseconds) * 1_000_000 }

    mutating func expect(_ member: ClusterMember, now: Int64) {
        if heartbeats[member] == nil { heartbeats[member] = Heartbeat(lastHeard: now) }
    }

    mutating func forget(_ member: ClusterMember) { heartbeats[member] = nil }

    /// Records a heartbeat and returns the event of a late member's return. Members that are not expected are ignored,
    /// so that the last messages of a retired worker do not bring it back.
    mutating func heard(from member: ClusterMember, now: Int64) -> ActivityEvent? {
        guard let heartbeat = heartbeats[member] else { return nil }
        heartbeats[member] = Heartbeat(lastHeard: max(heartbeat.lastHeard, now))
        guard heartbeat.isLate else { return nil }
        return .recovered(member, silentSeconds: Int((now - heartbeat.lastHeard) / 1_000_000_000))
    }

    /// Returns the members that became late, in their order.
    mutating func tick(now: Int64) -> [ActivityEvent] {
        var events: [ActivityEvent] = []
        let silent = heartbeats.filter {
            !$0.value.isLate && now >= $0.value.lastHeard + lateNanoseconds
        }
        for (member, heartbeat) in silent.sorted(by: { $0.key < $1.key }) {
            heartbeats[member]?.isLate = true
            let seconds = Int((now - heartbeat.lastHeard) / 1_000_000_000)
            events.append(.late(member, silentSeconds: seconds))
        }
        return events
    }

    /// The time at which the next member becomes late. O(members).
    var nextDeadline: Int64? {
        heartbeats.values.lazy.filter { !$0.isLate }.map(\.lastHeard).min().map {
            $0 + lateNanoseconds
        }
    }
}

/// Detects that no batches come. Times are monotonic nanoseconds.
struct QuietWatch {
    private let pauseNanoseconds: Int64
    private let inactivityNanoseconds: Int64?
    private var lastBatch: Int64
    private var hasBatchSincePause = false
    private var hasReportedInactive = false

    init(now: Int64, pauseSeconds: Int, inactivitySeconds: Int?) {
        pauseNanoseconds = Int64(pauseSeconds) * 1_000_000_000
        inactivityNanoseconds = inactivitySeconds.map { Int64($0) * 1_000_000_000 }
        lastBatch = now
    }

    mutating func batchReceived(now: Int64) {
        lastBatch = max(lastBatch, now)
        hasBatchSincePause = true
        hasReportedInactive = false
    }

    mutating func tick(now: Int64) -> ActivityEvent? {
        let seconds = Int((now - lastBatch) / 1_000_000_000)
        if let deadline = inactivityDeadline, now >= deadline {
            hasReportedInactive = true
            // The end of the cluster finalizes the open window as well.
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
        guard let inactivityNanoseconds, !hasReportedInactive else { return nil }
        return lastBatch + inactivityNanoseconds
    }
}

/// Returns the earlier of two times, where nil means never.
func earlier(_ left: Int64?, _ right: Int64?) -> Int64? {
    guard let left, let right else { return left ?? right }
    return min(left, right)
}

/// Limits the log lines of a lasting condition: one when it begins, one when it changes and one when it ends, instead
/// of one each time that it is seen.
package struct Recurrence: Sendable {
    private var current: String?

    package init() {}

    /// Returns whether the condition differs from the last one seen. `what` should contain nothing that changes by
    /// itself, such as sizes.
    package mutating func isNew(_ what: String) -> Bool {
        defer { current = what }
        return current != what
    }

    /// Ends the condition. Returns whether there was one.
    package mutating func isOver() -> Bool {
        defer { current = nil }
        return current != nil
    }
}

/// Watches batches and members and reports what requires action: a pure state machine without clock or I/O. All times
/// are monotonic nanoseconds and must not go back.
package struct ActivityMonitor: Sendable {
    private var quiet: QuietWatch
    private var members = MemberWatch(lateMilliseconds: Limits.heartbeatLateMilliseconds)
    /// Events since the last tick: at most one recovery for each member, as long as the loop ticks.
    private var pending: [ActivityEvent] = []

    /// - Parameter inactivitySeconds: `.inactive` comes after this time without a batch, counted from the start as
    ///   well; nil means never.
    package init(now: Int64, inactivitySeconds: Int?) {
        quiet = QuietWatch(
            now: now,
            pauseSeconds: Limits.pauseSeconds,
            inactivitySeconds: inactivitySeconds
        )
    }

    /// Records that a batch came.
    package mutating func batchReceived(now: Int64) { quiet.batchReceived(now: now) }

    /// Watches a member from now on; no change if it is watched already.
    package mutating func expect(_ member: ClusterMember, now: Int64) {
        members.expect(member, now: now)
    }

    /// Stops watching a member and drops its pending events.
    package mutating func forget(_ member: ClusterMember) {
        members.forget(member)
        pending.removeAll { event in
            switch event {
            case .late(member, _), .recovered(member, _): true
            case .late, .recovered, .paused, .inactive: false
            }
        }
    }

    /// Records a message of a member as its heartbeat; members that are not expected are ignored.
    package mutating func heard(from member: ClusterMember, now: Int64) {
        if let event = members.heard(from: member, now: now) { pending.append(event) }
    }

    /// Returns the events since the last tick, each once: recoveries in their order, then late members by name, then
    /// pause or inactivity. O(members).
    package mutating func tick(now: Int64) -> [ActivityEvent] {
        var events = pending
        pending = []
        events += members.tick(now: now)
        if let event = quiet.tick(now: now) { events.append(event) }
        return events
    }

    /// Returns when `tick` will next return an event, unless something happens before; nil means never.
    package func nextDeadline(now: Int64) -> Int64? {
        guard pending.isEmpty else { return now }
        return earlier(members.nextDeadline, quiet.nextDeadline)
    }
}
