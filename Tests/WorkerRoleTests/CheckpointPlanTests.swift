import Testing
import TraceModel

@testable import WorkerRole

@Suite struct CheckpointPlanTests {
    private static let second: Int64 = 1_000_000_000

    @Test func aNewWorkerWritesOneWhenThereIsSomethingToSave() {
        var plan = CheckpointPlan()
        #expect(!plan.isDue(.idle, at: 0))
        plan.applied(Limits.checkpointBytes - 1)
        #expect(!plan.isDue(.idle, at: 0))
        plan.applied(1)
        #expect(plan.isDue(.idle, at: 0))
        plan.applied(Limits.checkpointBytes - 1)
        #expect(!plan.isDue(.share, at: 0))
        plan.applied(1)
        #expect(plan.isDue(.share, at: 0))
        plan.written(from: 0, to: 1)
        #expect(!plan.isDue(.idle, at: 100 * Self.second))
        plan.windowEnded()
        #expect(plan.isDue(.barrier, at: 100 * Self.second))
        #expect(plan.isDue(.idle, at: 100 * Self.second))
        #expect(!plan.isDue(.share, at: 100 * Self.second), "it would split a window's run")
    }

    /// Holds for any amount of state and any rate of windows.
    @Test(arguments: [1, 40, 3_000]) func checkpointsTakeATenthOfTheTimeAtMost(milliseconds: Int64)
    {
        var plan = CheckpointPlan()
        let cost = milliseconds * 1_000_000
        var now: Int64 = 0
        while now < 1_000 * cost {
            plan.windowEnded()
            plan.applied(Limits.checkpointBytes)
            if plan.isDue(.barrier, at: now) {
                plan.written(from: now, to: now + cost)
                now += cost
            }
            now += cost / 10
        }
        #expect(plan.nanoseconds <= now / 10 + cost)
        #expect(plan.nanoseconds >= now / 12)
        #expect(plan.nanoseconds == Int64(plan.count) * cost)
    }

    @Test func oneThatTookExtremelyLongDoesNotHoldUpTheNext() {
        var plan = CheckpointPlan()
        plan.written(from: 0, to: 5_000 * Self.second)
        plan.windowEnded()
        let due = (5_000 + Limits.checkpointSecondsMax) * Self.second
        #expect(!plan.isDue(.idle, at: due - 1))
        #expect(plan.isDue(.idle, at: due))
    }
}
