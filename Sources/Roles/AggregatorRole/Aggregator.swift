package import Compression
import Glibc
package import HTTPServing
import IngestLog
package import Logging
import Synchronization
import SystemIO
import TraceMetrics
package import TraceModel
import ZeroMQ

/// Runs the aggregator: merged metrics, final files and the HTTP pages.
///
/// The process has changed into the data directory and blocks all signals before it creates one.
package final class Aggregator: Sendable {
    /// Settings of an aggregator.
    package struct Configuration: Sendable {
        package var metricsAddress: ServingAddress
        /// Where the cluster's console listens; nil if it has none.
        package var consoleAddress: ServingAddress?
        /// Whether HAProxy stands in front of the cluster.
        package var hasEdge: Bool
        /// IANA name of the zone that the trace files' metadata state.
        package var timeZoneName: String
        /// Compression of trace files and tables; nil writes them plain.
        package var compression: FileCompression?
        /// Columns of the tables.
        package var csvColumns: CSVColumns
        /// Maximum number of per-process series that each metric shows.
        package var seriesLimit: Int
        package var retention: RetentionPolicy
        /// Where final files are uploaded to; nil keeps them on this machine only.
        package var objectStore: ObjectStoreAddress?
        /// This cluster's name in the object store.
        package var cell: String
        /// Program that rebuilds damaged segments; if nil, they are set aside.
        package var rebuildProgram: RebuildProgram?

        package init(
            metricsAddress: ServingAddress,
            consoleAddress: ServingAddress? = nil,
            hasEdge: Bool = false,
            timeZoneName: String,
            compression: FileCompression?,
            csvColumns: CSVColumns,
            seriesLimit: Int = Limits.seriesPerMetricMax,
            retention: RetentionPolicy,
            objectStore: ObjectStoreAddress? = nil,
            cell: String = "default",
            rebuildProgram: RebuildProgram? = nil
        ) {
            self.metricsAddress = metricsAddress
            self.consoleAddress = consoleAddress
            self.hasEdge = hasEdge
            self.timeZoneName = timeZoneName
            self.compression = compression
            self.csvColumns = csvColumns
            self.seriesLimit = seriesLimit
            self.retention = retention
            self.objectStore = objectStore
            self.cell = cell
            self.rebuildProgram = rebuildProgram
        }
    }

    /// Files by which other processes reach this one.
    package static let reachedBy = [AggregatorPaths.lock, "\(ClusterPaths.run)/aggregator.sock"]

    /// Address of the pages; has the actual port if port 0 was requested.
    package let address: ServingAddress

    private let shared: SharedState
    private let archive: MetricArchive
    private let merges: MergeThread
    private let uploads: UploadThread?
    private let pages: PageThread
    private let charts: ChartThread
    private let fabric: FabricThread
    private let threads: [DedicatedThread]
    private let uploadThread: DedicatedThread?
    private let server: HTTPServer
    private let lock: Int32
    private let log: Logger

    /// Starts all threads and returns once the fabric and the pages can be reached. Blocks.
    /// - Throws: If another aggregator uses the directory, the address is taken, or the directory cannot be read.
    package init(_ configuration: Configuration, log: Logger) throws {
        self.log = log
        lock = try Self.takeLock()
        archive = MetricArchive(limits: SeriesLimits(perFamily: configuration.seriesLimit))
        var (store, damage) = try archive.load()
        if let damage { log.error("\(damage.effect)", metadata: ["why": "\(damage.why)"]) }
        let journal = WindowJournal()
        let saved = try journal.load()
        if let healed = saved.healed {
            store.count(.aggregatorStateDamaged)
            log.warning(
                "a copy of the marks of merged windows was damaged, and is written anew from the other one",
                metadata: ["why": "\(healed)"]
            )
        }
        if let lost = saved.lost {
            store.count(.aggregatorStateDamaged)
            log.error(
                "the marks of merged windows are lost; those that final files prove are used",
                metadata: ["why": "\(lost)"]
            )
        }
        let marks = saved.marks
        let previous = store.processes[MetricSnapshot.aggregator]?.incarnation ?? 0
        let incarnation = try Incarnation.take(for: MetricSnapshot.aggregator, after: previous)
        shared = SharedState(
            SharedState.Content(
                store: store,
                marks: marks,
                console: configuration.consoleAddress.map(ConsoleState.current),
                edge: configuration.hasEdge ? EdgeState.current() : nil
            )
        )
        let socket = try configuration.metricsAddress.listen("--metrics")
        address = configuration.metricsAddress.with(port: UInt16(socket.port))

        let http = HTTPTally()
        let wakeup = try Wakeup()
        uploads = configuration.objectStore.map {
            UploadThread($0, cell: configuration.cell, log: log)
        }
        merges = try MergeThread(
            timeZoneName: configuration.timeZoneName,
            localHostName: Self.hostName(),
            compression: configuration.compression,
            csvColumns: configuration.csvColumns,
            retention: configuration.retention,
            marks: marks.mapValues(\.window),
            uploads: uploads,
            log: log
        ) { wakeup.signal() }
        pages = try PageThread(shared: shared, archive: archive, pid: UInt32(getpid()), log: log)
        charts = try ChartThread(shared: shared, log: log)
        fabric = FabricThread(
            AggregationState(
                marks: marks,
                areMarksLost: saved.lost != nil,
                incarnation: incarnation,
                pid: UInt32(getpid()),
                now: WallClock.monotonic()
            ),
            shared: shared,
            merges: merges,
            uploads: uploads,
            journal: journal,
            rebuildProgram: configuration.rebuildProgram,
            consoleAddress: configuration.consoleAddress,
            hasEdge: configuration.hasEdge,
            http: http,
            wakeup: wakeup,
            log: log
        )
        threads = [try Self.start(fabric), merges.start(), pages.start(), charts.start()]
        uploadThread = uploads?.start()
        let routes = PageRoutes(pages, charts, shared, console: configuration.consoleAddress)
        server = try HTTPServer(socket, tally: http, log: log) { request, _ in
            await routes.respond(to: request)
        }
    }

    /// Stops the aggregator: refuses new messages, finishes the current merge and, for a while, uploads, and saves the
    /// metrics. Blocks; to be called once.
    package func stop() {
        fabric.stop()
        merges.stop()
        pages.stop()
        charts.stop()
        for thread in threads { thread.join() }
        // The merge thread may have recorded windows in the end.
        uploads?.stop()
        uploadThread?.join()
        server.stop()
        do { try archive.save(shared) } catch {
            log.error("the metrics could not be saved", metadata: ["why": "\(error)"])
        }
        close(lock)
    }

    // MARK: Parts of the start

    /// Takes the lock of the data directory. It comes before the bind, because a second bind would silently take
    /// over the path of the first aggregator's socket.
    private static func takeLock() throws -> Int32 {
        try FileSystem.createDirectory(ClusterPaths.run, mode: 0o700)
        let file = try File(AggregatorPaths.lock, .readWrite)
        guard try file.lock() else {
            throw TraceError(
                .configuration,
                "another aggregator runs in this data directory",
                remedy: "End it, or choose another directory by --data"
            )
        }
        return dup(file.descriptor)
    }

    /// Starts the fabric thread; returns once its socket is bound.
    private static func start(_ fabric: FabricThread) throws -> DedicatedThread {
        let bound = Mutex<(isKnown: Bool, error: ZMQError?)>((false, nil))
        let signal = try Wakeup()
        let poller = ZMQPoller()
        _ = poller.add(descriptor: signal.descriptor)
        let thread = fabric.start { error in
            bound.withLock { $0 = (true, error) }
            signal.signal()
        }
        while !bound.withLock({ $0.isKnown }) { poller.wait(milliseconds: nil) }
        guard let error = bound.withLock({ $0.error }) else { return thread }
        thread.join()
        throw TraceError(.configuration, "the fabric can't be reached", cause: error)
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}
