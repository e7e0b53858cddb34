import ArgumentParser
import OperatorTools
import SystemIO
import TraceBench
import TraceTime

/// One stage at a time, without a cluster.
struct StagesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stages",
        abstract:
            "Measures single stages in this process: the router's, each worker's loop and its parts, a scrape.",
        discussion: """
            Nanoseconds of CPU time an event, or a series of the page, on one thread. Where the machine is too noisy to tell two versions apart, \
            scripts/bench --instructions counts instructions instead.
            """
    )

    @Argument(help: ArgumentHelp("Stages to run; all where none is named.", valueName: "stage"))
    var stages: [String] = []

    @Option(help: "Rounds that the median is of.")
    var rounds = 7

    @Option(help: ArgumentHelp("Where the workers' files go for the time.", valueName: "dir"))
    var directory = "."

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds has to be positive") }
    }

    func run() throws {
        SignalReceiver.blockAll()
        let zone = try TimeZoneRules.configure("UTC")
        let bench = StageBench(zone: zone, directory: directory, rounds: rounds)
        let figures = try bench.run(only: stages)
        Terminal.output.line(json ? try Report.json(figures) : StageTable(figures).text)
    }
}
