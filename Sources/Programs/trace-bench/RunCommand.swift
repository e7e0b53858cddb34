import ArgumentParser
import TraceBench

extension EventMix: ExpressibleByArgument {}

/// One load of the caller's choice.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs one load several times; medians."
    )

    @Option(help: "function, or mixed: all six kinds.")
    var mix = EventMix.function

    @Option(help: "Events in a batch.")
    var batch = 100

    @Option(help: "Batches of each agent (or stream) that wait for their ack at once.")
    var inFlight = 32

    @Option(help: "Events per second, sent whatever comes back; instead of --in-flight.")
    var rate: Double?

    @Option(help: "Connections.")
    var agents = 1

    @Option(help: "Streams of each agent; 0: a call a batch.")
    var streams = 0

    @Option(help: "Processes that the events come from.")
    var processes = 200

    @Option(help: "Function names.")
    var functions = 500

    @Option(help: ArgumentHelp("Of one run.", valueName: "seconds"))
    var duration = 5.0

    @Option(help: ArgumentHelp("Before the first run.", valueName: "seconds"))
    var warmUp = 2.0

    @Option(help: "How many runs the medians are of.")
    var runs = 3

    @OptionGroup var cluster: ClusterOptions

    func validate() throws {
        let counts = [batch, inFlight, agents, processes, functions, runs]
        guard counts.allSatisfy({ $0 > 0 }), streams >= 0, duration > 0, warmUp >= 0,
            rate.map({ $0 > 0 }) ?? true
        else { throw ValidationError("the numbers have to be positive") }
    }

    func run() throws {
        var plan = LoadPlan()
        plan.name = "\(mix.rawValue)-\(batch)"
        plan.mix = mix
        plan.batchEvents = batch
        plan.pace = rate.map { .open(eventsPerSecond: $0) } ?? .closed(inFlight: inFlight)
        plan.agents = agents
        plan.streams = streams
        plan.processes = processes
        plan.functions = functions
        plan.seconds = duration
        plan.warmUpSeconds = warmUp
        plan.runs = runs
        let bench = try cluster.makeBench()
        defer { bench.close() }
        try cluster.show([bench.measure(plan)])
    }
}
