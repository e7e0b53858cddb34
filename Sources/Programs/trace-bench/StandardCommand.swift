import ArgumentParser
import TraceBench

/// The set that versions are compared by.
struct StandardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "standard",
        abstract: "Runs the standard set: full speed by batch size and mix, then latency at half."
    )

    @Option(help: ArgumentHelp("Of one run.", valueName: "seconds"))
    var duration = 5.0

    @Option(help: "How many runs the medians are of.")
    var runs = 3

    @OptionGroup var cluster: ClusterOptions

    func validate() throws {
        guard duration > 0, runs > 0 else {
            throw ValidationError("the numbers have to be positive")
        }
    }

    func run() throws {
        let bench = try cluster.makeBench()
        defer { bench.close() }
        var reports: [LoadReport] = []
        for plan in StandardSet.plans(seconds: duration, runs: runs) {
            reports.append(try bench.measure(plan))
        }
        if let full = reports.first {
            let half = StandardSet.latencyPlan(after: full, seconds: duration, runs: runs)
            reports.append(try bench.measure(half))
        }
        try cluster.show(reports)
    }
}
