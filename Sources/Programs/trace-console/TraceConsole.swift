import ArgumentParser
import ClusterConfiguration
import ConsoleRole
import Glibc
import HTTPServing
import Logging
import SystemIO
import TraceModel

/// `trace-console`: parses options, runs the console, ends with an exit code.
struct TraceConsole: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-console",
        abstract: "Serves pages and an API over what the cluster has written. Only reads.",
        version: BuildInfo.versionWithCommit
    )

    @Option(help: "The data directory.") var data = "./data"

    @Option(help: "\(Setting["console"].help)") var console = Setting["console"].standard

    @Option(help: "\(Setting["perfetto_ui"].help)") var perfettoUi = Setting["perfetto_ui"].standard

    @Option(
        help:
            "The directory of the pages' files; default: ../share/trace-console or deploy/console beside the program."
    ) var pages: String?

    func run() throws {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        let log = Logger(label: "trace-console")
        do {
            Limits.assertRelations()
            let address = try ServingAddress(console)
            let pages = try readPages()
            let perfettoUI: PerfettoUI =
                perfettoUi == "local"
                ? .local(try PerfettoPages(ofProgram: program)) : .elsewhere(url: perfettoUi)
            try FileSystem.changeDirectory(to: data)
            let console = try Console(
                Console.Configuration(
                    address: address,
                    pages: pages,
                    perfettoUI: perfettoUI,
                    tracectl: "\(FileSystem.parent(of: program))/tracectl"
                ),
                log: log
            )
            // For tools that know only the data directory.
            try Array("\(console.address)\n".utf8).withUnsafeBytes {
                try FileSystem.publish(ClusterPaths.consoleAddress, $0)
            }
            log.info("serving", metadata: ["address": "\(console.address)"])
            Readiness.ready()
            let signal = try untilSignal()
            log.info("ending", metadata: ["signal": "\(signal)"])
            Readiness.stopping()
            console.stop()
        } catch {
            log.critical("\(error)")
            Supervisor.endIfOrphaned()
            throw ExitCode(1)
        }
    }

    /// The path of this program.
    private var program: String { FileSystem.linkTarget("/proc/self/exe") ?? "/" }

    private func readPages() throws -> ConsolePages {
        guard let directory = pages ?? ConsolePages.directory(ofProgram: program) else {
            throw TraceError(
                .configuration,
                "the console's pages are neither beside \(program) nor in a directory above it",
                remedy: "Name the project's directory deploy/console with --pages"
            )
        }
        return try ConsolePages(directory: directory)
    }

    /// Blocks until a signal to end comes, and returns it.
    /// - Throws: `TraceError` where this process is no longer reachable.
    private func untilSignal() throws(TraceError) -> Int32 {
        var reach = ReachWatch(Console.reachedBy)
        while true {
            if let signal = SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 1_000) {
                return signal
            }
            Readiness.alive()
            try reach.check(now: WallClock.monotonic())
        }
    }
}
