import Glibc
import SystemIO
import Testing

/// Runs cases with seeds from 1 on, and reports the seeds of failing ones.
struct Cases {
    let seeds: ClosedRange<UInt64>
    let plan: SimulatedCluster.Plan
    /// True for plans that are expected to fail and for seeds that the environment must not change.
    var isQuiet = false

    init(count: Int, plan: SimulatedCluster.Plan) {
        seeds = 1...UInt64(count)
        self.plan = plan
    }

    /// Makes a single case that ignores the environment.
    init(seed: UInt64, plan: SimulatedCluster.Plan) {
        seeds = seed...seed
        self.plan = plan
        isQuiet = true
    }

    /// Maximum number of failing cases that are reported.
    private static let failuresMax = 8

    private static func number(_ name: String) -> UInt64? {
        Readiness.environment(name).flatMap(UInt64.init)
    }

    /// Runs all cases.
    /// - Throws: The error of the first failing case.
    func run() throws {
        var seeds = seeds
        if !isQuiet {
            if let count = Self.number("TRACE_SIM_CASES") { seeds = 1...max(1, count) }
            if let seed = Self.number("TRACE_SIM_SEED") { seeds = seed...seed }
        }
        var total = SimulatedDisk.Counts()
        var failures: [String] = []
        for seed in seeds {
            let cluster = SimulatedCluster(seed: seed, plan: plan)
            if Readiness.environment("TRACE_SIM_CALLS") != nil {
                print("seed \(seed)")
                cluster.tell = { print($0) }
            }
            do { try cluster.run() } catch {
                guard !isQuiet else { throw error }
                failures.append("TRACE_SIM_SEED=\(seed): \(error)")
                if failures.count == Self.failuresMax { break }
            }
            total += cluster.disk.counts
        }
        guard !isQuiet else { return }
        if !failures.isEmpty { throw SimulationError(failures.joined(separator: "\n")) }
        print(
            "\(seeds.count) cases: \(total.powerCuts) power cuts, \(total.kills) kills,"
                + " \(total.failedSyncs) failed syncs, \(total.refusedWrites) writes on a full disk,"
                + " \(total.damagedCopies) damaged copies, \(total.rebuiltSegments) windows with rebuilt"
                + " segments, \(total.calls) calls"
        )
        #expect(
            plan.isLogOnly || seeds.count < 100 || total.rebuiltSegments > 0,
            "no segment was ever made again"
        )
    }
}

extension SimulatedDisk.Counts {
    static func += (sum: inout Self, more: Self) {
        sum.calls += more.calls
        sum.kills += more.kills
        sum.powerCuts += more.powerCuts
        sum.failedSyncs += more.failedSyncs
        sum.refusedWrites += more.refusedWrites
        sum.damagedCopies += more.damagedCopies
        sum.rebuiltSegments += more.rebuiltSegments
    }
}
