import ActivityMonitoring
import Testing
import TraceModel

/// Random histories: the monitor says what a naive model says that replays them whole, and nothing
/// comes before the deadline that it names.
@Suite struct ActivityMonitorModelTests {
    @Test(arguments: 1...40 as ClosedRange<UInt64>) func theMonitorAgreesWithTheModel(seed: UInt64)
    {
        var random = SplitMix64(seed: seed)
        let inactivity: Int? = seed % 3 == 0 ? nil : 1 + random.below(60)
        let members: [ClusterMember] =
            [.router, .aggregator] + (0..<3).map { .worker(WorkerName(resource: .io, index: $0)) }
        var monitor = ActivityMonitor(now: 0, inactivitySeconds: inactivity)
        var model = NaiveMonitor(inactivitySeconds: inactivity)
        var now: Int64 = 0
        var eventCount = 0
        for step in 0..<250 {
            let member = members[random.below(members.count)]
            switch random.below(9) {
            case 0:
                monitor.batchReceived(now: now)
                model.note(.batch, at: now)
            case 1, 2:
                monitor.expect(member, now: now)
                model.note(.expect(member), at: now)
            case 3 where random.below(4) == 0:
                monitor.forget(member)
                model.note(.forget(member), at: now)
            case 4, 5:
                monitor.heard(from: member, now: now)
                model.note(.heard(member), at: now)
            default:
                let deadline = monitor.nextDeadline(now: now)
                now = advance(now, toward: deadline, &random)
                let events = monitor.tick(now: now)
                #expect(events == model.tick(at: now), "seed \(seed), step \(step)")
                if let deadline, now >= deadline {
                    #expect(!events.isEmpty, "seed \(seed), step \(step): an empty deadline")
                } else {
                    #expect(events.isEmpty, "seed \(seed), step \(step): before the deadline")
                }
                eventCount += events.count
            }
        }
        #expect(eventCount > 10, "seed \(seed) tests nothing")
    }

    /// Exactly to the deadline, just before it, or anywhere; seldom far.
    private func advance(_ now: Int64, toward deadline: Int64?, _ random: inout SplitMix64) -> Int64
    {
        let second: Int64 = 1_000_000_000
        switch random.below(8) {
        case 0, 1: return max(now, deadline ?? now)
        case 2: return max(now, (deadline ?? now) - 1)
        case 3: return now + Int64(random.below(90)) * second
        default: return now + Int64(random.below(4_000)) * 1_000_000
        }
    }
}
