import AggregatorRole
import ArgumentParser
import ClusterConfiguration
import Compression
import Glibc
import HTTPServing
import Logging
import SystemIO
import TraceModel

/// `trace-aggregator`: parses options, runs the aggregator, ends with an exit code.
struct TraceAggregator: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-aggregator",
        abstract: "Merges the workers' metrics and files, and serves metrics and status over HTTP.",
        version: BuildInfo.versionWithCommit
    )

    @Option(help: "The data directory.") var data = "./data"

    @Option(help: "\(Setting["metrics"].help)") var metrics = Setting["metrics"].standard

    @Option(help: "Where the cluster's console listens, to which browsers are sent; default: none.")
    var console: String?

    @Option(help: "on where HAProxy stands in front of the cluster.") var edge = "off"

    @Option(help: "\(Setting["time_zone"].help)") var timeZone = "UTC"

    @Option(help: "\(Setting["csv_columns"].help)") var csvColumns = CSVColumns.all

    @Option(help: "\(Setting["series_limit"].help)") var seriesLimit = Limits.seriesPerMetricMax

    @Option(help: "\(Setting["state_limit"].help) For damaged segments that are made again.")
    var stateLimit = Setting[
        "state_limit"
    ].standard

    @Flag(help: "\(Setting["csv_formula_guard"].help) For damaged segments that are made again.")
    var csvFormulaGuard =
        false

    @Option(help: "How to compress final JSON and CSV files; default: not.") var compress:
        FileCompression?

    @Option(help: "\(Setting["retain_age"].help) Default: never.") var retainAge: String?

    @Option(help: "\(Setting["retain_bytes"].help) Default: never.") var retainBytes: String?

    @Option(help: "\(Setting["object_store"].help) Default: none.") var objectStore: String?

    @Option(help: "\(Setting["cell"].help)") var cell = Setting["cell"].standard

    func validate() throws {
        if let objectStore, objectStore != "off", ObjectStoreAddress(objectStore) == nil {
            let kind = Setting["object_store"].kind
            throw ValidationError("--object-store takes \(kind.expectation), not \(objectStore)")
        }
        guard ObjectStoreAddress.isName(cell), cell != "all" else {
            throw ValidationError("--cell takes \(Setting["cell"].kind.expectation), not \(cell)")
        }
        guard (Limits.seriesPerMetricMin...Limits.seriesHeldMax).contains(seriesLimit) else {
            let kind = Setting["series_limit"].kind
            throw ValidationError("--series-limit takes \(kind.expectation), not \(seriesLimit)")
        }
    }

    func run() throws {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        let log = Logger(label: "trace-aggregator")
        do {
            Limits.assertRelations()
            let address = try ServingAddress(metrics)
            try FileSystem.changeDirectory(to: data)
            let aggregator = try Aggregator(
                Aggregator.Configuration(
                    metricsAddress: address,
                    // Units of systemd pass a setting on as it is.
                    consoleAddress: try console.flatMap { $0 == "off" ? nil : $0 }.map {
                        try ServingAddress($0)
                    },
                    hasEdge: edge == "on",
                    timeZoneName: timeZone,
                    compression: compress,
                    csvColumns: csvColumns,
                    seriesLimit: seriesLimit,
                    retention: try RetentionPolicy(age: retainAge, bytes: retainBytes),
                    objectStore: objectStore.flatMap { ObjectStoreAddress($0) },
                    cell: cell,
                    rebuildProgram: rebuildProgram
                ),
                log: log
            )
            // For tools that know only the data directory.
            try Array("\(aggregator.address)\n".utf8).withUnsafeBytes {
                try FileSystem.publish(ClusterPaths.aggregatorAddress, $0)
            }
            log.info("serving", metadata: ["address": "\(aggregator.address)"])
            Readiness.ready()
            let signal = try untilSignal(log)
            log.info("ending", metadata: ["signal": "\(signal)"])
            Readiness.stopping()
            aggregator.stop()
        } catch {
            log.critical("\(error)")
            Supervisor.endIfOrphaned()
            throw ExitCode(1)
        }
    }

    /// The worker's program beside this one, with the workers' settings.
    private var rebuildProgram: RebuildProgram? {
        guard let own = FileSystem.linkTarget("/proc/self/exe") else { return nil }
        let guarding = csvFormulaGuard ? ["--csv-formula-guard"] : []
        return RebuildProgram(
            path: "\(FileSystem.parent(of: own))/trace-worker",
            options: ["--data", ".", "--time-zone", timeZone, "--state-limit", stateLimit]
                + guarding
        )
    }

    /// Blocks until a signal to end comes, and returns it.
    /// - Throws: `TraceError` where this process is no longer reachable.
    private func untilSignal(_ log: Logger) throws(TraceError) -> Int32 {
        var reach = ReachWatch(Aggregator.reachedBy)
        var directories = LogDirectories()
        while true {
            if let signal = SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 1_000) {
                return signal
            }
            let now = WallClock.monotonic()
            try reach.check(now: now)
            for process in directories.restore(now: now) {
                log.warning(
                    "created the removed directory of a log again",
                    metadata: ["process": "\(process)"]
                )
            }
        }
    }
}

extension CSVColumns: ExpressibleByArgument {}
extension FileCompression: ExpressibleByArgument {}
