/// The loads by which one version is compared with another.
package enum StandardSet {
    /// The first four at full speed.
    package static func plans(seconds: Double, runs: Int) -> [LoadPlan] {
        func plan(_ name: String, _ change: (inout LoadPlan) -> Void) -> LoadPlan {
            var plan = LoadPlan()
            plan.name = name
            plan.seconds = seconds
            plan.runs = runs
            change(&plan)
            return plan
        }
        return [
            plan("function-100") { _ in },
            plan("function-5000") { plan in
                plan.batchEvents = 5_000
                plan.pace = .closed(inFlight: 8)
            },
            plan("function-stream") { plan in
                plan.batchEvents = 500
                plan.streams = 2
                plan.pace = .closed(inFlight: 32)
            },
            plan("mixed-100") { $0.mix = .mixed },
        ]
    }

    /// Ack latency at half of what `function-100` reached.
    package static func latencyPlan(
        after full: LoadReport,
        seconds: Double,
        runs: Int
    ) -> LoadPlan {
        var plan = full.plan
        plan.name = "\(full.plan.name)-half"
        plan.pace = .open(eventsPerSecond: full.server.eventsPerSecond / 2)
        plan.seconds = seconds
        plan.runs = runs
        return plan
    }
}
