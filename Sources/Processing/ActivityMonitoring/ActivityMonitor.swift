internal import TraceModel

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
        quiet = QuietWatch(
            now: now,
            pauseSeconds: Limits.pauseSeconds,
            inactivitySeconds: inactivitySeconds
        )
    }

    package mutating func batchReceived(now: Int64) { quiet.batchReceived(now: now) }

    /// Watches a member from now on; nothing changes where it is watched already.
    package mutating func expect(_ member: ClusterMember, now: Int64) {
        members.expect(member, now: now)
    }

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
