import SystemIO
import TestSupport
import Testing

/// Tests random faults at random places, chosen by seeds. Whatever is killed, cut off or refused, each acknowledged
/// event is published once, and no other event is.
///
///     TRACE_SIM_SEED=17 SWIFT_DETERMINISTIC_HASHING=1 swift test --filter SimulationTests
///     TRACE_SIM_CASES=10000 swift test -c release -Xswiftc -DDEBUG --filter SimulationTests
///
/// The first command runs one case again, and with `TRACE_SIM_CALLS=1` prints each call; the second runs more
/// cases, faster.
@Suite struct SimulationTests {
    @Test func theLogKeepsWhatItAcked() throws {
        try Cases(count: 1_600, plan: .init(isLogOnly: true)).run()
    }

    @Test func publishedFilesHoldEveryAckedEventOnce() throws {
        try Cases(count: 400, plan: .init()).run()
    }

    /// A simulation that finds no bugs proves something only if it finds planted ones.
    @Test(arguments: PlantedBug.allCases) func aPlantedBugIsFound(_ bug: PlantedBug) throws {
        var plan = SimulatedCluster.Plan(bugs: [bug])
        if bug == .announceBeforeCheckpoint || bug == .unsavedMarks {
            // A window has to be merged, and then the worker killed, between two checkpoints, or the aggregator.
            plan.steps = 400
            plan.faultPercent = 4
        }
        if bug == .verdictBeforeCommit {
            // The disk has to become full between a letter and its verdict, and stay full.
            plan.steps = 200
            plan.faultPercent = 20
        }
        var cases = Cases(count: 200, plan: plan)
        cases.isQuiet = true
        #expect(throws: SimulationError.self) { try cases.run() }
    }
}
