import ArgumentParser
import ClusterConfiguration
import Logging
import RouterRole
import SystemIO
import TraceModel

/// `trace-router`: parses options, runs the router, ends with an exit code.
@main struct TraceRouter: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-router",
        abstract: "Takes trace batches over gRPC, makes them durable, and shards them to workers.",
        discussion: """
            Usually started by `scripts/cluster up`. Runs in the foreground until SIGTERM or SIGINT, logs to \
            standard error. Exit codes: 0 ended in order, 1 could not start or could not go on, 3 ended and \
            finalized for inactivity, 64 usage.
            """,
        version: BuildInfo.versionWithCommit
    )

    @Option(help: "The data directory; made where it is missing.") var data = "data"

    @Option(help: "\(Setting["grpc"].help)") var grpc = Setting["grpc"].standard

    @Option(help: "Workers a resource, for a new data directory: function=2,cpu=1,…") var workers =
        ""

    @Option(help: "\(Setting["inactivity_timeout"].help) In seconds; 0: never.")
    var inactivityTimeout = 0

    @Option(help: "\(Setting["time_zone"].help) Default: TZ, else the machine's.") var timeZone:
        String?

    @Option(help: "\(Setting["log_budget"].help) In bytes; 0: half of the disk.") var logBudget = 0

    @Option(help: "\(Setting["default_semantics"].help)") var defaultSemantics = Setting[
        "default_semantics"
    ].standard

    @Option(help: "\(Setting["trusted_proxy"].help) Default: none.") var trustedProxy: String?

    @Flag(help: "\(Setting["require_host_identity"].help)") var requireHostIdentity = false

    @Option(help: "\(Setting["log_replica"].help) Default: none.") var logReplica: String?

    @Option(help: "\(Setting["cell"].help)") var cell = Setting["cell"].standard

    func validate() throws {
        if let logReplica, logReplica != "off", ReplicaAddresses(logReplica) == nil {
            let kind = Setting["log_replica"].kind
            throw ValidationError("--log-replica takes \(kind.expectation), not \(logReplica)")
        }
        guard trustedProxy.map({ AddressRange.list($0) != nil }) ?? true else {
            throw ValidationError(
                "--trusted-proxy takes \(Setting["trusted_proxy"].kind.expectation)"
            )
        }
        guard Semantics(name: defaultSemantics) != nil else {
            throw ValidationError("--default-semantics: neutracer or cumulative")
        }
        guard WorkerCounts.parse(workers) != nil else {
            throw ValidationError(
                "--workers: \(workers): use RESOURCE=N,… with 1 to \(Limits.workersPerResourceMax) workers"
            )
        }
        guard logBudget == 0 || logBudget >= Limits.logBudgetBytesMin else {
            throw ValidationError("--log-budget: bytes, \(Limits.logBudgetBytesMin) or more")
        }
        guard inactivityTimeout >= 0 else {
            throw ValidationError("--inactivity-timeout: seconds, 0 or more")
        }
    }

    func run() throws {
        SignalReceiver.blockAll()
        Heap.setUp(mappedBytesMin: Limits.routerMappedBytesMin)
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        let logger = Logger(label: "trace-router")
        do {
            try FileSystem.createDirectory(data)
            try FileSystem.changeDirectory(to: data)
            let configuration = Router.Configuration(
                address: grpc,
                workers: WorkerCounts.parse(workers) ?? [:],
                inactivitySeconds: inactivityTimeout > 0 ? inactivityTimeout : nil,
                timeZone: timeZone,
                logBudgetBytes: logBudget > 0 ? logBudget : nil,
                defaultSemantics: Semantics(name: defaultSemantics) ?? .neutracer,
                trustedProxies: trustedProxy.flatMap { AddressRange.list($0) } ?? [],
                requiresHostIdentity: requireHostIdentity,
                replica: logReplica.flatMap { ReplicaAddresses($0) }.map { ($0, cell) }
            )
            let ending = try Router(configuration: configuration, logger: logger).run()
            if case .inactivity = ending { throw ExitCode(3) }
        } catch let code as ExitCode { throw code } catch let lost as RouterLost {
            logger.critical("\(lost)")
            throw ExitCode(65)
        } catch {
            logger.critical("\(error)")
            Supervisor.endIfOrphaned()
            throw ExitCode(1)
        }
    }
}
