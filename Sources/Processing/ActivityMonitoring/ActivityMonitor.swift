package import TraceModel

/// What the monitor has noticed; each is told once.
package enum ActivityEvent: Sendable, Equatable {
    /// No batch for a while, and some since the last pause: the open window can be finalized.
    case paused(seconds: Int)
    /// No batch for the configured timeout: the cluster finalizes and ends.
    case inactive(seconds: Int)
    /// An expected member is silent; it may hang.
    case late(ClusterMember, silentSeconds: Int)
    /// A member reported late has been heard again.
    case recovered(ClusterMember, silentSeconds: Int)
}

/// A process whose signs of life are watched.
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

    package static func < (left: ClusterMember, right: ClusterMember) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .router: 0
        case .aggregator: 1
        case .worker(let name): 2 + Int(name.resource.rawValue) * Limits.workersPerResourceMax + name.index
        }
    }
}

/// Notices which of the expected members have gone silent. Times are monotonic nanoseconds.
struct MemberWatch {
    private struct Life {
        var lastHeard: Int64
        var isLate = false
    }

    private let lateNanoseconds: Int64
    private var lives: [ClusterMember: Life] = [:]

    init(lateMilliseconds: Int) { lateNanoseconds = Int64(lateMilliseconds) * 1_000_000 }

    mutating func expect(_ member: ClusterMember, now: Int64) {
        if lives[member] == nil { lives[member] = Life(lastHeard: now) }
    }

    mutating func forget(_ member: ClusterMember) { lives[member] = nil }

    /// Says when a late member is back. Members not expected are ignored: a retired worker's last
    /// words must not bring it back.
    mutating func heard(from member: ClusterMember, now: Int64) -> ActivityEvent? {
        guard let life = lives[member] else { return nil }
        lives[member] = Life(lastHeard: max(life.lastHeard, now))
        guard life.isLate else { return nil }
        return .recovered(member, silentSeconds: Int((now - life.lastHeard) / 1_000_000_000))
    }

    /// Members that became late, in their order.
    mutating func tick(now: Int64) -> [ActivityEvent] {
        var events: [ActivityEvent] = []
        let silent = lives.filter { !$0.value.isLate && now >= $0.value.lastHeard + lateNanoseconds }
        for (member, life) in silent.sorted(by: { $0.key < $1.key }) {
            lives[member]?.isLate = true
            let seconds = Int((now - life.lastHeard) / 1_000_000_000)
            events.append(.late(member, silentSeconds: seconds))
        }
        return events
    }

    /// O(members).
    var nextDeadline: Int64? {
        lives.values.lazy.filter { !$0.isLate }.map(\.lastHeard).min().map { $0 + lateNanoseconds }
    }
}

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

/// Decides when something that goes on for a while is logged: when it begins, when it becomes another, and when it is over;
/// not each time that it is seen.
package struct Recurrence: Sendable {
    private var current: String?

    package init() {}

    /// Whether this was not seen the last time. `what` should hold nothing that changes by itself, like sizes.
    package mutating func isNew(_ what: String) -> Bool {
        defer { current = what }
        return current != what
    }

    /// Whether something went on, which is over now.
    package mutating func isOver() -> Bool {
        defer { current = nil }
        return current != nil
    }
}

/// Watches batches and members, and says what is worth acting on: a pure state machine
/// without clock or I/O. All times are monotonic nanoseconds and must not go back.
package struct ActivityMonitor: Sendable {
    private var quiet: QuietWatch
    private var members = MemberWatch(lateMilliseconds: Limits.heartbeatLateMilliseconds)
    /// What was noticed since the last tick: a recovery a member at most, as long as the loop ticks.
    private var pending: [ActivityEvent] = []

    /// `inactivitySeconds`: after so long without a batch, counted from the start too, comes
    /// `.inactive`; nil: never.
    package init(now: Int64, inactivitySeconds: Int?) {
        quiet = QuietWatch(now: now, pauseSeconds: Limits.pauseSeconds, inactivitySeconds: inactivitySeconds)
    }

    package mutating func batchReceived(now: Int64) { quiet.batchReceived(now: now) }

    /// Watches a member from now on; nothing changes where it is watched already.
    package mutating func expect(_ member: ClusterMember, now: Int64) { members.expect(member, now: now) }

    /// Stops watching a member, and drops what was not yet told of it.
    package mutating func forget(_ member: ClusterMember) {
        members.forget(member)
        pending.removeAll { event in
            switch event {
            case .late(member, _), .recovered(member, _): true
            case .late, .recovered, .paused, .inactive: false
            }
        }
    }

    /// Any message of a member is a sign of life; members not expected are ignored.
    package mutating func heard(from member: ClusterMember, now: Int64) {
        if let event = members.heard(from: member, now: now) { pending.append(event) }
    }

    /// All that happened since the last tick, each event once: first what was noticed in between, in
    /// its order; then late members, by name; then the batches' silence. O(members).
    package mutating func tick(now: Int64) -> [ActivityEvent] {
        var events = pending
        pending = []
        events += members.tick(now: now)
        if let event = quiet.tick(now: now) { events.append(event) }
        return events
    }

    /// When `tick` will have something to say, unless something happens before; nil: never.
    package func nextDeadline(now: Int64) -> Int64? {
        guard pending.isEmpty else { return now }
        return earlier(members.nextDeadline, quiet.nextDeadline)
    }
}
