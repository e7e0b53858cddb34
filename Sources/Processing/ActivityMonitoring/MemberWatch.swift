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
        let silent = lives.filter {
            !$0.value.isLate && now >= $0.value.lastHeard + lateNanoseconds
        }
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
