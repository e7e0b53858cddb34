import Glibc
package import HTTPServing
package import Logging
import SystemIO
import TraceFiles
import TraceModel

/// Runs the console: pages and an API over what the cluster has written. It only reads, and whatever happens to it, taking
/// events goes on.
///
/// The process has changed into the data directory and blocks all signals before it creates one.
package final class Console: Sendable {
    /// Settings of a console.
    package struct Configuration: Sendable {
        let address: ServingAddress
        let pages: ConsolePages
        /// The Perfetto UI in which pages open traces.
        let perfettoUI: PerfettoUI
        /// The path of the program that closes the open window.
        let tracectl: String

        package init(
            address: ServingAddress,
            pages: ConsolePages,
            perfettoUI: PerfettoUI,
            tracectl: String
        ) {
            self.tracectl = tracectl
            self.address = address
            self.pages = pages
            self.perfettoUI = perfettoUI
        }
    }

    /// Files by which other processes find this one.
    package static let reachedBy = [ClusterPaths.consoleLock]

    /// Address of the pages; has the actual port if port 0 was requested.
    package let address: ServingAddress

    private let server: HTTPServer
    private let queries: QueryThreads
    private let reads: QueryThreads
    private let lock: Int32

    /// Starts all threads and returns once the pages can be reached. Blocks.
    /// - Throws: If another console uses the directory, or the address is taken.
    package init(_ configuration: Configuration, log: Logger) throws {
        lock = try Self.takeLock()
        let socket = try configuration.address.listen("--console")
        address = configuration.address.with(port: UInt16(socket.port))
        let queries = QueryThreads(
            "query",
            count: Limits.consoleQueriesMax,
            waitingMax: Limits.consoleWaitingMax,
            waitSeconds: Limits.consoleWaitSeconds
        )
        // A read takes as long as the disk does, so one thread serves all downloads.
        let reads = QueryThreads(
            "files",
            count: 1,
            waitingMax: Limits.httpConnectionsMax,
            waitSeconds: Limits.httpProgressSeconds
        )
        let openWindow = OpenWindow(program: configuration.tracectl)
        let routes = ConsoleRoutes(
            pages: configuration.pages,
            queries: ConsoleQueries(
                perfettoUI: configuration.perfettoUI.url,
                catalog: WindowCatalog(
                    windowsMax: Limits.consoleWindowsMax,
                    filesMax: Limits.consoleCatalogFilesMax
                ),
                openWindow: openWindow
            ),
            delivery: FileDelivery(reads),
            perfetto: configuration.perfettoUI.pages,
            threads: queries,
            log: log
        )
        var bounds = HTTPBounds()
        bounds.heldBytes = Limits.consoleHeldBytesMax
        server = try HTTPServer(socket, bounds: bounds, tally: HTTPTally(), log: log) {
            await routes.respond(to: $0, from: $1)
        }
        self.queries = queries
        self.reads = reads
    }

    /// Closes all connections, which ends their queries, and all threads. Blocks; to be called once.
    package func stop() {
        server.stop()
        queries.stop()
        reads.stop()
        close(lock)
    }

    /// Makes the process give way to the others of the cluster: less processor time, and no more memory than
    /// `Limits.consoleMemoryBytesMax`. To be called before any thread starts.
    package static func giveWay() {
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Int32(Limits.consoleNiceness))
        // A supervisor gives each process a session. Where the kernel groups processes by session (sched(7), autogroup),
        // it is the group's niceness that counts among the groups.
        if let group = unsafe fopen("/proc/self/autogroup", "w") {
            _ = unsafe fputs("\(Limits.consoleNiceness)", group)
            unsafe fclose(group)
        }
        let bytes = rlim_t(Limits.consoleMemoryBytesMax)
        var limit = rlimit(rlim_cur: bytes, rlim_max: bytes)
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit)
    }

    /// Takes the lock of the data directory, which also tells the aggregator that this process lives.
    private static func takeLock() throws -> Int32 {
        try FileSystem.createDirectory(ClusterPaths.run, mode: 0o700)
        let file = try File(ClusterPaths.consoleLock, .readWrite)
        guard try file.lock() else {
            throw TraceError(
                .configuration,
                "another console runs in this data directory",
                remedy: "End it, or choose another directory by --data"
            )
        }
        return dup(file.descriptor)
    }
}
