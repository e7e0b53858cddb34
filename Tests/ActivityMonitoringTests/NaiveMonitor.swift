import ActivityMonitoring
import TraceModel

/// What the monitor should say, worked out at each tick from the whole history again.
struct NaiveMonitor {
    enum Occurrence {
        case batch
        case expect(ClusterMember)
        case forget(ClusterMember)
        case heard(ClusterMember)
        case tick
    }

    let inactivitySeconds: Int?
    private var history: [(time: Int64, what: Occurrence)] = []

    init(inactivitySeconds: Int?) { self.inactivitySeconds = inactivitySeconds }

    mutating func note(_ what: Occurrence, at time: Int64) { history.append((time, what)) }

    /// The events of the tick at `time`, in the monitor's order.
    mutating func tick(at time: Int64) -> [ActivityEvent] {
        history.append((time, .tick))
        let members = Set(history.compactMap { Self.member(of: $0.what) }).sorted()
        var between: [(Int, ActivityEvent)] = []
        var late: [ActivityEvent] = []
        for member in members {
            let life = replayLife(of: member)
            between += life.recovered
            late += life.late
        }
        var events = between.sorted { $0.0 < $1.0 }.map(\.1) + late
        if let event = replayBatches() { events.append(event) }
        return events
    }

    private static func member(of what: Occurrence) -> ClusterMember? {
        switch what {
        case .expect(let member), .forget(let member), .heard(let member): member
        case .batch, .tick: nil
        }
    }

    private var lastTickButOne: Int {
        let ticks = history.indices.filter {
            if case .tick = history[$0].what { true } else { false }
        }
        return ticks.dropLast().last ?? -1
    }

    private func replayLife(
        of member: ClusterMember
    ) -> (recovered: [(Int, ActivityEvent)], late: [ActivityEvent]) {
        var heard: Int64?
        var isLate = false
        var recovered: [(Int, ActivityEvent)] = []
        var late: [ActivityEvent] = []
        for (index, (time, what)) in history.enumerated() {
            switch what {
            case .expect(member): heard = heard ?? time
            case .forget(member):
                heard = nil
                isLate = false
                recovered = []
            case .heard(member):
                guard let last = heard else { continue }
                if isLate, index > lastTickButOne {
                    let silent = Int((time - last) / 1_000_000_000)
                    recovered.append((index, .recovered(member, silentSeconds: silent)))
                }
                heard = time
                isLate = false
            case .tick:
                guard let last = heard, !isLate else { continue }
                let silent = time - last
                guard silent >= Int64(Limits.heartbeatLateMilliseconds) * 1_000_000 else {
                    continue
                }
                isLate = true
                if index == history.count - 1 {
                    late = [.late(member, silentSeconds: Int(silent / 1_000_000_000))]
                }
            default: continue
            }
        }
        return (recovered, late)
    }

    private func replayBatches() -> ActivityEvent? {
        var last: Int64 = 0
        var isOpen = false
        var isTold = false
        for (index, (time, what)) in history.enumerated() {
            switch what {
            case .batch:
                last = time
                isOpen = true
                isTold = false
            case .tick:
                let seconds = Int((time - last) / 1_000_000_000)
                let isCurrent = index == history.count - 1
                if let limit = inactivitySeconds, seconds >= limit, !isTold {
                    isTold = true
                    isOpen = false
                    if isCurrent { return .inactive(seconds: seconds) }
                } else if isOpen, seconds >= Limits.pauseSeconds {
                    isOpen = false
                    if isCurrent { return .paused(seconds: seconds) }
                }
            default: continue
            }
        }
        return nil
    }
}
