import SystemIO
import TraceModel
import TraceTime

/// Batches for stages: a round holds every template once, and time goes on from round to round.
struct StageTraffic {
    private static let batchNanoseconds: Int64 = 1_000_000

    private var traffic: Traffic
    private var time = WallClock.now()
    private let batches: Int

    init(_ plan: LoadPlan, zone: TimeZoneRules) {
        traffic = Traffic(plan, zone: zone)
        batches = max(1, plan.encodedEvents / plan.batchEvents)
    }

    mutating func nextRound() -> [[UInt8]] {
        (0..<batches).map { _ in
            time += Self.batchNanoseconds
            return traffic.next(at: time).bytes
        }
    }
}
