import Foundation
import TraceFiles
import TraceMetrics
import TraceModel

/// The object that `/status` and `status --json` print.
struct ClusterStatus: Encodable, Sendable {
    struct Router: Encodable, Sendable {
        let pid: UInt32?
        let up: Bool
        let accepting: Bool
        let draining: Bool
        let headLsn: UInt64
        let window: UInt64
        /// Unasked, within the last minute.
        let recentEnds: Int
        /// Left out where there was none.
        let lastEnd: String?
    }

    struct Aggregator: Encodable, Sendable {
        let pid: UInt32?
        let version: String
        /// As the router's.
        let recentEnds: Int
        let lastEnd: String?
    }

    struct Worker: Encodable, Sendable {
        let name: String
        let resource: String
        let index: Int
        let pid: UInt32?
        let up: Bool
        /// Why starting it again changes nothing, and what does; absent where it is not so.
        let lost: String?
        let lagBytes: UInt64
        let appliedLsn: UInt64
        let checkpointLsn: UInt64
        /// Up to where the newest of its slots is in the counts.
        let countedLsn: UInt64
        let restarts: UInt64
        /// As the router's.
        let recentEnds: Int
        let lastEnd: String?
        /// Left out where the resource is quiet.
        let skewRatio: Double?
    }

    struct Merged: Encodable, Sendable {
        let resource: String
        let window: UInt64
        let files: [String]
    }

    struct Merging: Encodable, Sendable {
        struct Current: Encodable, Sendable {
            let resource: String
            let window: UInt64
            /// Of segments.
            let mergedBytes: UInt64
            let totalBytes: UInt64
        }

        let waitingWindows: Int
        /// Left out where no merge is under way.
        let current: Current?
        /// Left out where no damaged segments are being made again.
        let rebuilding: Rebuilding?

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

    let ready: Bool
    /// Whether there was ever a router that said how it stands.
    let known: Bool
    /// What is wrong with processes that run, and what to do; one sentence each. Where there are any it is not ready.
    let problems: [String]
    let router: Router
    let aggregator: Aggregator
    let workers: [Worker]
    /// -1 where it is not known: that never equals what became of events.
    let receivedEvents: Int64
    let writtenEvents: UInt64
    let deduplicatedEvents: UInt64
    let deadLetteredEvents: UInt64
    let rejectedEvents: UInt64
    /// Rows of segments that were damaged or gone when their window was merged.
    let lostRows: UInt64
    /// Rows of outputs with such segments that were made again from the log.
    let rebuiltRows: UInt64
    /// The last merged window of each resource.
    let merged: [Merged]
    let merging: Merging

    init(
        _ reading: MetricReading,
        marks: [Resource: MergedMark],
        merging: MergeState,
        skew: [WorkerName: Double],
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
        problems = reading.recentEnds.sorted { $0.key < $1.key }.compactMap(\.value.problem)
        ready =
            problems.isEmpty && reading.routerPID != nil && !reading.workers.isEmpty
            && reading.workers.allSatisfy(\.isUp)
        known = reading.routerPID != nil || status.headLSN > 0
        receivedEvents = known ? Int64(clamping: status.receivedEvents) : -1
        writtenEvents = reading.writtenEvents
        deduplicatedEvents = status.deduplicatedEvents
        deadLetteredEvents = status.deadLetteredEvents
        rejectedEvents = status.rejectedEvents
        lostRows = reading.lostRows
        rebuiltRows = reading.rebuiltRows
        self.merging = Merging(merging)
        merged = Resource.allCases.compactMap { resource in
            marks[resource].map {
                Merged(resource: resource.name, window: $0.window, files: $0.files)
            }
        }
    }

    /// One line of JSON.
    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}

extension KeyedEncodingContainer {
    /// A process that is down has a `pid` of null, not none: readers index the key.
    mutating func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws {
        try encode(value, forKey: key)
    }
}
