import ArgumentParser
import Glibc
import OperatorTools
import SystemIO
import TraceBench
import TraceModel
import TraceTime

/// `trace-bench`: parses the subcommand and runs it.
@main struct TraceBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-bench",
        abstract:
            "Measures a running cluster: throughput, ack latency, CPU, memory, bytes written.",
        discussion: """
            Sends batches as agents do, through gRPC's C core, and alternately loads a server that does \
            nothing but answer, and measures the disk, so that each figure can be compared with what the machine allows in \
            the same minutes. scripts/bench does this with a cluster of its own.

              trace-bench run --data data
              trace-bench run --data data --mix mixed --batch 100 --rate 200000
              trace-bench run --data data --batch 500 --streams 2 --in-flight 32 --json
              trace-bench standard --data data
              trace-bench stages
            """,
        version: BuildInfo.versionWithCommit,
        subcommands: [
            RunCommand.self, StandardCommand.self, StagesCommand.self, KeysCommand.self,
            FloorCommand.self,
        ]
    )
}

/// How a cluster is reached that stands behind HAProxy; as of tracectl.
struct SecurityOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Authorities of the server; speak TLS.", valueName: "file"))
    var tlsCa: String?

    @Option(help: ArgumentHelp("The certificate to show the server.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("Its key.", valueName: "file")) var tlsKey: String?

    @Option(help: ArgumentHelp("The file with the token to send.", valueName: "file"))
    var tokenFile: String?

    var files: ServerConnection.Files {
        ServerConnection.Files(
            authorities: tlsCa,
            certificate: tlsCert,
            key: tlsKey,
            token: tokenFile
        )
    }

    func validate() throws {
        if let problem = files.problem { throw ValidationError(problem) }
    }
}

/// The cluster to measure, and the form of the report.
struct ClusterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where trace-router listens.", valueName: "addr:port")) var server =
        "127.0.0.1:50051"

    @Option(
        help: ArgumentHelp(
            "The cluster's data directory, on this machine; without it only acks are measured.",
            valueName: "dir"
        )
    )
    var data: String?

    @Option(
        help: "The zone of the timestamps sent: the cluster's. Default: TZ, else the machine's."
    ) var timeZone: String?

    @OptionGroup var security: SecurityOptions

    @Flag(help: "Print one JSON object at the end, and nothing else, on standard output.")
    var json = false

    @Option(help: ArgumentHelp("Also write the JSON object to a file.", valueName: "file"))
    var save: String?

    /// Connects to the cluster. The caller closes the result.
    func makeBench() throws -> Bench {
        try makeBench(server: server, files: security.files, data: data)
    }

    /// Connects to another cluster in the same time zone. The caller closes the result.
    func makeBench(server: String, files: ServerConnection.Files, data: String?) throws -> Bench {
        SignalReceiver.blockAll()
        let zone = try TimeZoneRules.configure(timeZone)
        let bench = try Bench(
            server: try ServerConnection(to: server, files: files),
            dataDirectory: try data.map(Self.absolute),
            program: "/proc/self/exe",
            zone: zone
        )
        bench.onProgress = { Terminal.error.line("trace-bench: \($0)") }
        return bench
    }

    func show(_ reports: [LoadReport]) throws {
        let object = try Report.json(reports)
        if let save {
            let bytes = Array("\(object)\n".utf8)
            let file = try File(save, .replace)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
        Terminal.output.line(json ? object : ReportTable(reports).text)
    }

    private static func absolute(_ path: String) throws -> String {
        guard let resolved = realpath(path, nil) else {
            throw TraceError(.notFound, "there is no directory \(path)")
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// Runs the floor server: started by the program itself, or to measure a client.
struct FloorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "floor",
        abstract: "A server that only answers, until standard input ends; prints its port.",
        shouldDisplay: false
    )

    func run() throws {
        SignalReceiver.blockAll()
        try FloorServer.run()
    }
}

extension EventMix: ExpressibleByArgument {}

/// Runs one load with the given parameters.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs one load several times; medians."
    )

    @Option(help: "function, or mixed: all six kinds.") var mix = EventMix.function

    @Option(help: "Events in a batch.") var batch = 100

    @Option(help: "Batches of each agent (or stream) that wait for their ack at once.")
    var inFlight = 32

    @Option(help: "Events per second, sent regardless of acks; instead of --in-flight.") var rate:
        Double?

    @Option(help: "Connections.") var agents = 1

    @Option(help: "Streams of each agent; 0: one call for each batch.") var streams = 0

    @Option(help: "Processes that the events come from.") var processes = 200

    @Option(help: "Function names.") var functions = 500

    @Option(help: ArgumentHelp("Of one run.", valueName: "seconds")) var duration = 5.0

    @Option(help: ArgumentHelp("Before the first run.", valueName: "seconds")) var warmUp = 2.0

    @Option(help: "Number of runs, of which the medians are shown.") var runs = 3

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

/// Runs the standard set, which compares versions.
struct StandardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "standard",
        abstract: "Runs the standard set: full speed by batch size and mix, then latency at half.",
        discussion: """
            With --edge-server the first load is sent to a second cluster as well, which stands behind HAProxy.
            """
    )

    @Option(help: ArgumentHelp("Of one run.", valueName: "seconds")) var duration = 5.0

    @Option(help: "Number of runs, of which the medians are shown.") var runs = 3

    @Option(help: ArgumentHelp("Where HAProxy listens, with TLS.", valueName: "addr:port"))
    var edgeServer: String?

    @Option(help: ArgumentHelp("That cluster's data directory.", valueName: "dir"))
    var edgeData: String?

    @Option(help: ArgumentHelp("Authorities of HAProxy's certificate.", valueName: "file"))
    var edgeCa: String?

    @OptionGroup var cluster: ClusterOptions

    func validate() throws {
        guard duration > 0, runs > 0 else {
            throw ValidationError("the numbers have to be positive")
        }
        guard (edgeServer == nil) == (edgeData == nil), (edgeData == nil) == (edgeCa == nil) else {
            throw ValidationError("--edge-server, --edge-data and --edge-ca go together")
        }
    }

    func run() throws {
        let bench = try cluster.makeBench()
        defer { bench.close() }
        var reports: [LoadReport] = []
        for plan in StandardSet.plans(seconds: duration, runs: runs) {
            reports.append(try bench.measure(plan))
            if reports.count == 1, let report = try measureEdge(plan) { reports.append(report) }
        }
        if let full = reports.first {
            let half = StandardSet.latencyPlan(after: full, seconds: duration, runs: runs)
            reports.append(try bench.measure(half))
        }
        try cluster.show(reports)
    }

    /// Measures a load at the cluster behind HAProxy; nil if there is none.
    private func measureEdge(_ plan: LoadPlan) throws -> LoadReport? {
        guard let edgeServer else { return nil }
        let files = ServerConnection.Files(authorities: edgeCa)
        let bench = try cluster.makeBench(server: edgeServer, files: files, data: edgeData)
        defer { bench.close() }
        var plan = plan
        plan.name = "\(plan.name)-edge"
        return try bench.measure(plan)
    }
}

/// Runs single stages without a cluster.
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
    var stages: [String] =
        []

    @Option(help: "Number of rounds, of which the median is shown.") var rounds = 7

    @Option(help: ArgumentHelp("Where the workers' temporary files go.", valueName: "dir"))
    var directory = "."

    @Flag(help: "Print one JSON object and nothing else.") var json = false

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

extension KeyBench.Kind: ExpressibleByArgument {}

/// Measures one number of keys of one kind, without a cluster.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Measures a worker's loop with ever new keys: CPU per event, state, memory.",
        discussion: """
            The memory is that of this process, so a run measures one number of keys of one kind; \
            scripts/bench --keys makes the table of all.
            """
    )

    @Argument(help: "The kind of key.") var kind: KeyBench.Kind

    @Option(help: "How many keys there are.") var keys = 1_000_000

    @Option(help: "How many events are sent; at least one for each key.") var events = 2_000_000

    @Option(help: ArgumentHelp("Where the worker's temporary files go.", valueName: "dir"))
    var directory = "."

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func validate() throws {
        guard keys > 0, events > 0 else { throw ValidationError("the numbers have to be positive") }
    }

    func run() throws {
        SignalReceiver.blockAll()
        Heap.setUp(mappedBytesMin: 8 << 20)
        let zone = try TimeZoneRules.configure("UTC")
        let bench = KeyBench(zone: zone, directory: directory)
        let figure = try bench.run(kind, keys: keys, eventsMin: events)
        if json {
            Terminal.output.line(try Report.json([figure]))
        } else {
            Terminal.output.line(KeyFigure.head)
            Terminal.output.line(figure.line)
        }
    }
}
