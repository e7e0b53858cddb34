import SystemIO
import TestSupport
import Testing

/// Random faults in random places, from seeds: whatever is killed, cut off or refused, what was acked is
/// published once, and nothing else is.
///
///     TRACE_SIM_SEED=17 SWIFT_DETERMINISTIC_HASHING=1 swift test --filter SimulationTests
///     TRACE_SIM_CASES=10000 swift test -c release -Xswiftc -DDEBUG --filter SimulationTests
///
/// The first runs one case again, and with `TRACE_SIM_CALLS=1` tells each call; the second runs more of them,
/// fast.
@Suite struct SimulationTests {
    @Test func theLogKeepsWhatItAcked() throws {
        try Cases(count: 1_600, plan: .init(isLogOnly: true)).run()
    }

    @Test func publishedFilesHoldEveryAckedEventOnce() throws {
        try Cases(count: 400, plan: .init()).run()
    }

    /// The canary: a simulation that finds nothing must be one that could have.
    @Test(arguments: PlantedBug.allCases) func aPlantedBugIsFound(_ bug: PlantedBug) throws {
        var plan = SimulatedCluster.Plan(bugs: [bug])
        if bug == .announceBeforeCheckpoint {
            // A window has to be merged, and then the worker killed, between two checkpoints.
            plan.steps = 400
            plan.faultPercent = 4
        }
        if bug == .verdictBeforeCommit {
            // The disk has to fill up between a letter and its verdict, and stay so.
            plan.steps = 200
            plan.faultPercent = 20
        }
        var cases = Cases(count: 200, plan: plan)
        cases.isQuiet = true
        #expect(throws: SimulationError.self) { try cases.run() }
    }
}
