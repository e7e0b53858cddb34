import ArgumentParser
import ClusterConfiguration
import Logging
import SystemIO
import TraceModel
import WorkerRole

/// `trace-worker`: parses options, runs one worker, ends with an exit code.
@main struct TraceWorker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-worker",
        abstract: "Processes one resource's share of the events that the router has made durable.",
        discussion: """
            Usually started by `scripts/cluster up`. Runs in the foreground until SIGTERM or SIGINT, logs to \
            standard error. Exit codes: 0 ended in order, 1 could not start or could not go on, 64 usage, \
            65 what it has saved is of no use: starting it again changes nothing before somebody has done what \
            it says.
            """,
        version: BuildInfo.versionWithCommit
    )

    @Option(help: "The data directory of the router.") var data = "data"

    @Option(help: "function, cpu, memory, network, io or gpu.") var resource: String

    @Option(help: "Which worker of the resource, from 0.") var index: Int

    @Option(help: "\(Setting["time_zone"].help) Default: TZ, else the machine's.") var timeZone:
        String?

    @Option(help: "\(Setting["state_limit"].help)") var stateLimit = Setting["state_limit"].standard

    @Flag(help: "\(Setting["csv_formula_guard"].help)") var csvFormulaGuard = false

    @Option(help: .hidden) var rebuild: UInt64?

    func validate() throws {
        guard WorkerName("\(resource).\(index)") != nil else {
            throw ValidationError("\(resource).\(index) is no worker's name")
        }
        guard stateBytesMax >= Limits.stateBytesMin else {
            let kind = Setting["state_limit"].kind
            throw ValidationError("--state-limit takes \(kind.expectation), not \(stateLimit)")
        }
    }

    private var stateBytesMax: Int { UnitNumber.bytes(stateLimit).flatMap(Int.init(exactly:)) ?? 0 }

    func run() throws {
        SignalReceiver.blockAll()
        Heap.setUp(mappedBytesMin: Limits.mappedBytesMin)
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        guard let name = WorkerName("\(resource).\(index)") else { throw ExitCode(64) }
        let logger = Logger(label: "trace-worker.\(name)")
        do {
            try FileSystem.createDirectory(data)
            try FileSystem.changeDirectory(to: data)
            if let rebuild {
                let window = WorkerWindow(worker: name, window: rebuild)
                throw ExitCode(try remake(window, logger))
            }
            try FileSystem.createDirectory(ClusterPaths.run)
            try Worker(
                name: name,
                timeZone: timeZone,
                guardsFormulas: csvFormulaGuard,
                stateBytesMax: stateBytesMax,
                logger: logger
            ).run()
        } catch let code as ExitCode { throw code } catch let lost as WorkerLost {
            logger.critical("\(lost)")
            throw ExitCode(65)
        } catch {
            logger.critical("\(error)")
            Supervisor.endIfOrphaned()
            throw ExitCode(1)
        }
    }

    /// The aggregator's way of having a damaged segment made again.
    private func remake(_ window: WorkerWindow, _ logger: Logger) throws -> Int32 {
        try WindowRebuild(
            window,
            timeZone: timeZone,
            guardsFormulas: csvFormulaGuard,
            stateBytesMax: stateBytesMax,
            logger: logger
        ).run()
    }
}
