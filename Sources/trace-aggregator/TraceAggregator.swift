import AggregatorRole
import ArgumentParser
import Glibc
import Logging
import SystemIO
import TraceModel

/// Options, wiring, exit code.
struct TraceAggregator: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-aggregator",
        abstract: "Merges the workers' metrics and files, and serves metrics and status over HTTP.",
        version: BuildInfo.version
    )

    @Option(help: "The data directory.")
    var data = "./data"

    @Option(help: "Where to serve the pages.")
    var metrics = "127.0.0.1:9091"

    @Option(help: "IANA name of the zone that agents' times are in.")
    var timeZone = "UTC"

    func run() throws {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        let log = Logger(label: "trace-aggregator")
        do {
            Limits.assertRelations()
            let address = try MetricsAddress(metrics)
            try FileSystem.changeDirectory(to: data)
            let aggregator = try Aggregator(
                Aggregator.Configuration(metricsAddress: address, timeZoneName: timeZone),
                log: log
            )
            // For tools that know only the data directory.
            try Array("\(aggregator.address)\n".utf8).withUnsafeBytes {
                try FileSystem.publish(ClusterPaths.aggregatorAddress, $0)
            }
            log.info("serving", metadata: ["address": "\(aggregator.address)"])
            Readiness.ready()
            let signal = SignalReceiver.wait(for: [SIGTERM, SIGINT])
            log.info("ending", metadata: ["signal": "\(signal)"])
            Readiness.stopping()
            aggregator.stop()
        } catch {
            log.critical("\(error)")
            throw ExitCode(1)
        }
    }
}
