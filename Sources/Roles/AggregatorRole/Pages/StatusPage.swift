import Foundation
import TraceFiles
import TraceMetrics
import TraceModel

/// The object that `/status` and `tracectl status --json` print.
struct StatusPage: Encodable, Sendable {
    /// State of the router.
    struct Router: Encodable, Sendable {
        let pid: UInt32?
        let up: Bool
        let accepting: Bool
        let draining: Bool
        let headLsn: UInt64
        let window: UInt64
        /// Number of unrequested ends within the last minute.
        let recentEnds: Int
        /// Cause of the last end; absent if there was none.
        let lastEnd: String?
    }

    /// State of the aggregator.
    struct Aggregator: Encodable, Sendable {
        let pid: UInt32?
        let version: String
        /// Number of unrequested ends within the last minute.
        let recentEnds: Int
        let lastEnd: String?
    }

    /// State of the console. The cluster is ready without it.
    struct Console: Encodable, Sendable {
        let address: String
        let pid: UInt32?
        let up: Bool
        /// Number of unrequested ends within the last minute.
        let recentEnds: Int
        let lastEnd: String?
        /// Why it does not stay up, and what to do; absent if it does.
        let problem: String?
    }

    /// State of the process that runs HAProxy.
    struct Edge: Encodable, Sendable {
        let pid: UInt32?
        let up: Bool
        /// Number of unrequested ends within the last minute.
        let recentEnds: Int
        let lastEnd: String?
    }

    /// State of a worker.
    struct Worker: Encodable, Sendable {
        let name: String
        let resource: String
        let index: Int
        let pid: UInt32?
        let up: Bool
        /// Why a restart does not help, and what does; absent if a restart helps.
        let lost: String?
        let lagBytes: UInt64
        let appliedLsn: UInt64
        let checkpointLsn: UInt64
        /// LSN up to which the most current of its slots is counted.
        let countedLsn: UInt64
        let restarts: UInt64
        /// Number of unrequested ends within the last minute.
        let recentEnds: Int
        let lastEnd: String?
        /// Share of events relative to the mean of the resource's workers; absent if the resource is idle.
        let skewRatio: Double?
    }

    /// The last merged window of a resource.
    struct Merged: Encodable, Sendable {
        let resource: String
        let window: UInt64
        let files: [String]
    }

    /// State of the merges.
    struct Merging: Encodable, Sendable {
        /// The current merge.
        struct Current: Encodable, Sendable {
            let resource: String
            let window: UInt64
            /// Merged bytes of segments, of `totalBytes`.
            let mergedBytes: UInt64
            let totalBytes: UInt64
        }

        let waitingWindows: Int
        /// Absent if no merge is running.
        let current: Current?
        /// Absent if no damaged segments are being rebuilt.
        let rebuilding: Rebuilding?

        /// The worker's window whose segments are being rebuilt.
        struct Rebuilding: Encodable {
            let worker: String
            let window: UInt64
        }

        init(_ state: MergeState) {
            waitingWindows = state.waiting.values.reduce(0, +)
            current = state.current.map { current in
                Current(
                    resource: current.resource.name,
                    window: current.window,
                    mergedBytes: current.progress.bytesDone,
                    totalBytes: current.progress.bytesTotal
                )
            }
            rebuilding = state.rebuilding.map {
                Rebuilding(worker: "\($0.worker)", window: $0.window)
            }
        }
    }

    /// State of the uploads to the object store.
    struct ObjectStore: Encodable, Sendable {
        /// For example `s3://bucket/prefix`.
        let address: String
        let cell: String
        /// Windows that are on this machine only.
        let waitingWindows: Int
        let oldestWaitingSeconds: Int64
        /// Why the last attempt failed, and what to do; absent if it succeeded.
        let problem: String?
    }

    let ready: Bool
    /// Whether a router has ever reported its status.
    let known: Bool
    /// Problems of running processes with their remedies, one sentence each. The cluster is not ready while there
    /// are any. The console's is in `console`.
    let problems: [String]
    let router: Router
    let aggregator: Aggregator
    /// Absent if the cluster has none.
    let console: Console?
    /// Absent if the cluster has none.
    let edge: Edge?
    let workers: [Worker]
    /// -1 if unknown, which never equals the sum of the other counts.
    let receivedEvents: Int64
    let writtenEvents: UInt64
    let deduplicatedEvents: UInt64
    let deadLetteredEvents: UInt64
    let rejectedEvents: UInt64
    /// Events of lost ranges of the log, of which some may have been applied before. Until that is known, the other counts may
    /// go back; then this is 0, and those that were not applied count as dead-lettered.
    let uncertainEvents: UInt64
    /// Rows of segments that were damaged or missing when their window was merged.
    let lostRows: UInt64
    /// Rows of outputs with such segments that were rebuilt from the log.
    let rebuiltRows: UInt64
    /// The last merged window of each resource.
    let merged: [Merged]
    let merging: Merging
    /// Absent if the cluster uploads nothing.
    let objectStore: ObjectStore?

    init(
        _ reading: MetricReading,
        marks: [Resource: MergedMark],
        merging: MergeState,
        uploads: UploadState?,
        skew: [WorkerName: Double],
        console: ConsoleState?,
        edge: EdgeState? = nil,
        pid: UInt32
    ) {
        let status = reading.router
        func ends(_ process: String) -> RecentEnds { reading.recentEnds[process] ?? .none }
        router = Router(
            pid: reading.routerPID,
            up: reading.routerPID != nil,
            accepting: reading.routerPID != nil && status.accepting,
            draining: status.draining,
            headLsn: status.headLSN,
            window: status.window,
            recentEnds: ends(MetricSnapshot.router).count,
            lastEnd: ends(MetricSnapshot.router).last
        )
        aggregator = Aggregator(
            pid: pid,
            version: BuildInfo.version,
            recentEnds: ends(MetricSnapshot.aggregator).count,
            lastEnd: ends(MetricSnapshot.aggregator).last
        )
        self.console = console.map { console in
            Console(
                address: "\(console.address)",
                pid: console.pid,
                up: console.pid != nil,
                recentEnds: ends(MetricSnapshot.console).count,
                lastEnd: ends(MetricSnapshot.console).last,
                problem: ends(MetricSnapshot.console).problem
            )
        }
        self.edge = edge.map { edge in
            Edge(
                pid: edge.pid,
                up: edge.pid != nil,
                recentEnds: ends(MetricSnapshot.edge).count,
                lastEnd: ends(MetricSnapshot.edge).last
            )
        }
        workers = reading.workers.map { worker in
            Worker(
                name: "\(worker.name)",
                resource: worker.name.resource.name,
                index: worker.name.index,
                pid: worker.pid,
                up: worker.isUp,
                lost: worker.lost,
                lagBytes: worker.lagBytes,
                appliedLsn: worker.appliedLSN,
                checkpointLsn: worker.checkpointLSN,
                countedLsn: worker.countedLSN,
                restarts: worker.restarts,
                recentEnds: ends("\(worker.name)").count,
                lastEnd: ends("\(worker.name)").last,
                skewRatio: skew[worker.name]
            )
        }
        problems = reading.recentEnds.filter { $0.key != MetricSnapshot.console }.sorted {
            $0.key < $1.key
        }.compactMap(\.value.problem)
        ready =
            problems.isEmpty && reading.routerPID != nil && !reading.workers.isEmpty
            && reading.workers.allSatisfy(\.isUp)
        known = reading.routerPID != nil || status.headLSN > 0
        receivedEvents = known ? Int64(clamping: status.receivedEvents) : -1
        writtenEvents = reading.writtenEvents
        deduplicatedEvents = status.deduplicatedEvents
        deadLetteredEvents = status.deadLetteredEvents
        rejectedEvents = status.rejectedEvents
        uncertainEvents = status.uncertainEvents
        lostRows = reading.lostRows
        rebuiltRows = reading.rebuiltRows
        self.merging = Merging(merging)
        objectStore = uploads.map { uploads in
            ObjectStore(
                address: uploads.address,
                cell: uploads.cell,
                waitingWindows: uploads.waitingWindows,
                oldestWaitingSeconds: uploads.oldestWaitingSeconds,
                problem: uploads.problem
            )
        }
        merged = Resource.allCases.compactMap { resource in
            marks[resource].map {
                Merged(resource: resource.name, window: $0.window, files: $0.files)
            }
        }
    }

    /// Returns the object as one line of JSON.
    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}

extension KeyedEncodingContainer {
    /// Encodes the `pid` of a process that is down as null instead of omitting it, because readers index the key.
    mutating func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws {
        try encode(value, forKey: key)
    }
}
