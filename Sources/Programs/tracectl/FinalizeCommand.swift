import ArgumentParser
import OperatorTools
import TraceModel

/// `tracectl finalize`.
struct FinalizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "finalize",
        abstract: "Closes the open window and prints its final files.",
        discussion: """
            Returns once everything received before is in final files under output/; their paths are printed \
            one per line. Nothing is printed where nothing was received since the last window.

              tracectl finalize --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    func run() throws {
        let directory = data.directory
        let files = try waiting.run(in: directory) {
            try AdminClient.finalize(dataDirectory: directory)
        }
        for file in files { Terminal.output.line(file) }
    }
}

/// `tracectl drain`.
struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Stops accepting batches, finalizes, and lets the router end.",
        discussion: """
            scripts/cluster does this before it stops the processes. Returns once every file is final; \
            their paths are printed one per line. A supervisor that restarts the router ends the drain with it, \
            so stop it first.

              tracectl drain --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    func run() throws {
        let directory = data.directory
        let files = try waiting.run(in: directory) {
            try AdminClient.drain(dataDirectory: directory)
        }
        for file in files { Terminal.output.line(file) }
    }
}

/// `tracectl scale`.
struct ScaleCommand: ParsableCommand {
    private static let resources = Resource.allCases.map(\.name).joined(separator: ", ")

    static let configuration = CommandConfiguration(
        commandName: "scale",
        abstract: "Moves the work of some resources to another number of workers.",
        discussion: """
            Returns once every slot is with its new owner. The workers must be running already (or still): \
            scripts/cluster scale starts new ones before and ends retired ones after. Resources: \
            \(resources); 1 to \
            \(Limits.workersPerResourceMax) workers each.

              tracectl scale function=4
              tracectl scale function=4,cpu=2 --data /var/lib/trace
            """
    )

    @Argument(
        help: ArgumentHelp("The new numbers of workers.", valueName: "resource=count,…"),
        transform: { text in
            guard let counts = WorkerCounts.parse(text), !counts.isEmpty else {
                throw ValidationError(
                    "not RESOURCE=COUNT[,…] with each resource once: \(resources); counts 1 to "
                        + "\(Limits.workersPerResourceMax)"
                )
            }
            return counts
        }
    ) var counts: [Resource: Int]

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    func run() throws {
        let (directory, counts) = (data.directory, counts)
        let result = try waiting.run(in: directory) {
            try AdminClient.scale(to: counts, dataDirectory: directory)
        }
        Terminal.output.line(result)
    }
}

/// `tracectl skip`.
struct SkipCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip",
        abstract: "Sets aside events that a worker cannot process, so that it can continue.",
        discussion: """
            For a worker that is stuck, or so far behind that the ingest log fills the disk. Its process is \
            killed first, even if it is stopped; its supervisor starts another. Its events from its checkpoint up to \
            the position LSN go to a dead letter and count as dead-lettered; other workers are not affected. \
            A worker that is down for good, because its saved state is not usable, starts without state: all of its events that \
            are in no final file yet are set aside, and it has to be started afterwards. \
            Positions are those of `trace_router_log_head_lsn` and of error messages; one beyond the log's end \
            means its end.

              tracectl skip function.0 --to 73400320
            """
    )

    @Argument(
        help: "The worker, as status names it.",
        transform: { text in
            guard let worker = WorkerName(text) else {
                throw ValidationError("\(text) is no worker's name, like function.0")
            }
            return worker
        }
    ) var worker: WorkerName

    @Option(help: ArgumentHelp("The position in the log where it continues.", valueName: "lsn"))
    var to: LSN

    @OptionGroup var data: DataOptions

    func run() throws {
        let result = try AdminClient.skip(worker, to: to, dataDirectory: data.directory)
        Terminal.output.line(result)
    }
}

/// `tracectl reload`.
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Makes the workers reload the anomaly rules in rules.json.",
        discussion: """
            Checks rules.json in the data directory first: where it is wrong, the line and the field are \
            named and nothing is changed. Without the file the defaults apply. Each worker reloads the rules \
            within a second and logs the result.

              tracectl reload --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp("The aggregator's address, if not looked up.", valueName: "addr:port")
    ) var metrics: HostPort?

    func run() throws {
        let count = try RulesReload(dataDirectory: data.directory, metrics: metrics).run()
        Terminal.output.line("reload requested from \(count) workers")
    }
}
