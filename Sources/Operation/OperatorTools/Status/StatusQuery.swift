import Foundation
import SystemIO
package import TraceModel

/// The JSON object that `tracectl status --json` prints and the aggregator serves as `/status`.
package struct ClusterStatus: Codable, Equatable, Sendable {
    /// The router or the aggregator.
    package struct Process: Codable, Equatable, Sendable {
        package var pid: Int?
        /// Whether the router accepts batches. Nil where it is not known, and for the aggregator.
        package var accepting: Bool?

        /// Encodes the key even where the value is null, because readers may rely on it.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(pid, forKey: .pid)
        }
    }

    /// The console. The cluster is ready without it.
    package struct Console: Codable, Equatable, Sendable {
        package var address: String
        package var pid: Int?
        /// Why it does not stay up, and what to do.
        package var problem: String?
    }

    /// The process that runs HAProxy.
    package struct Edge: Codable, Equatable, Sendable { package var pid: Int? }

    /// One worker.
    package struct Worker: Codable, Equatable, Sendable {
        package var name: String
        package var resource: String
        package var index: Int
        package var pid: Int?
        package var up: Bool
        /// Why restarting the worker does not help, and what does; nil where a restart is enough.
        package var lost: String?
        package var lagBytes: Int
        package var appliedLsn: UInt64?
        /// The LSN up to which its events are counted as written.
        package var countedLsn: UInt64?
        /// Nil where the resource is idle.
        package var skewRatio: Double?
    }

    /// The state of merging windows into final files.
    package struct Merging: Codable, Equatable, Sendable {
        /// The merge that is running.
        package struct Current: Codable, Equatable, Sendable {
            package var resource: String
            package var window: Int
            /// Bytes of segments.
            package var mergedBytes: Int
            package var totalBytes: Int
        }

        /// The window of a worker whose damaged segments are being rebuilt.
        package struct Rebuilding: Codable, Equatable, Sendable {
            package var worker: String
            package var window: Int
        }

        package var waitingWindows: Int
        package var current: Current?
        package var rebuilding: Rebuilding?
    }

    /// The state of uploads to the object store.
    package struct ObjectStore: Codable, Equatable, Sendable {
        package var address: String
        package var cell: String
        package var waitingWindows: Int
        package var oldestWaitingSeconds: Int
        package var problem: String?
    }

    package var ready = false
    /// Whether anything below is known. Nil from an aggregator older than 0.2, whose fields are all known.
    package var known: Bool?
    /// Problems of running processes with their remedies; nil where they are not reported.
    package var problems: [String]?
    package var router = Process()
    package var aggregator = Process()
    /// Nil where the cluster has none.
    package var console: Console?
    /// Nil where the cluster has none.
    package var edge: Edge?
    package var workers: [Worker] = []
    /// -1 where it is not known. That never equals the sum of the other counts, so nobody takes the cluster for quiet.
    package var receivedEvents = -1
    package var writtenEvents = 0
    package var deduplicatedEvents = 0
    package var deadLetteredEvents = 0
    package var rejectedEvents = 0
    /// Events of lost ranges of the log of which it is not known yet whether they were applied; nil where it is not reported.
    package var uncertainEvents: Int?
    /// Rows of damaged segments that are in no final file; nil where it is not reported.
    package var lostRows: Int?
    /// Rows of outputs whose damaged segments were rebuilt from the log; nil if the aggregator does not report it.
    package var rebuiltRows: Int?
    /// Nil where it is not reported.
    package var merging: Merging?
    /// Nil where nothing is uploaded.
    package var objectStore: ObjectStore?

    /// A worker with less lag is up to date: under load none is completely.
    private static let lagBytesMin = 1_000_000

    /// Whether all processes are connected and no worker is far behind. Workers for which a restart does not help
    /// are left out.
    /// - Parameter process: A process that must run with this id, unless a restart does not help it.
    package func isCaughtUp(with process: (name: String, pid: Int)? = nil) -> Bool {
        let rest = workers.filter { $0.lost == nil }
        guard router.pid != nil, router.accepting ?? ready, problems?.isEmpty ?? true,
            rest.allSatisfy({ $0.up && $0.lagBytes < Self.lagBytesMin })
        else { return false }
        guard let process else { return true }
        switch process.name {
        case "router": return router.pid == process.pid
        case "aggregator": return aggregator.pid == process.pid
        case "console": return console?.pid == process.pid
        case "edge": return edge?.pid == process.pid
        default:
            let worker = workers.first { $0.name == process.name }
            return worker.map { $0.lost != nil || $0.pid == process.pid } ?? false
        }
    }

    /// Whether the router accepts batches and exactly these workers exist, each up or beyond a restart.
    package func isConnected(workers wanted: [Resource: Int]) -> Bool {
        let names = wanted.flatMap { resource, count in (0..<count).map { "\(resource.name).\($0)" }
        }
        guard Set(workers.map(\.name)) == Set(names) else { return false }
        if ready { return true }
        return router.accepting == true && workers.contains { $0.lost != nil }
            && workers.allSatisfy { $0.up || $0.lost != nil }
    }

    /// The status where nobody answers.
    package static let unknown = ClusterStatus(known: false)
}

/// Asks the aggregator for the cluster's status.
package struct StatusQuery {
    /// The file in the data directory to which the aggregator writes its address.
    package static let addressFile = ClusterPaths.aggregatorAddress
    private static let timeoutSeconds = 2

    /// The result of a query.
    package struct Answer: Sendable {
        /// One JSON object on one line.
        package let json: String
        package let status: ClusterStatus
        /// Why nothing is known; nil where the aggregator answered.
        package let problem: String?
    }

    private let dataDirectory: String
    private let metrics: HostPort?

    /// - Parameter metrics: The aggregator's address; nil to read it from the data directory.
    package init(dataDirectory: String, metrics: HostPort?) {
        self.dataDirectory = dataDirectory
        self.metrics = metrics
    }

    /// Queries the aggregator. Always returns an answer; it is `.unknown` where the aggregator can't be reached.
    /// Blocks.
    package func run() -> Answer {
        do {
            let address = try metrics.map { .network($0) } ?? Self.recordedAddress(dataDirectory)
            let timeout = Self.timeoutSeconds
            let body = try HTTPGet.body(of: "/status", from: address, timeoutSeconds: timeout)
            return try Self.answer(body)
        } catch {
            let status = ClusterStatus.unknown
            let json = (try? Report.json(status)) ?? "{}"
            return Answer(json: json, status: status, problem: "\(error)")
        }
    }

    /// Checks the shape of a response and passes the object on unchanged, with keys that are unknown here.
    package static func answer(_ body: [UInt8]) throws -> Answer {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            let status = try decoder.decode(ClusterStatus.self, from: Data(body))
            let object = try JSONSerialization.jsonObject(with: Data(body))
            let line = try JSONSerialization.data(
                withJSONObject: object,
                options: [.sortedKeys, .withoutEscapingSlashes]
            )
            let json = String(decoding: line, as: UTF8.self)
            return Answer(json: json, status: status, problem: nil)
        } catch {
            throw TraceError(.unreachable, "the aggregator's answer is no status", cause: error)
        }
    }

    /// Returns the address that the aggregator has written.
    /// - Throws: `TraceError` where there is none.
    static func recordedAddress(_ dataDirectory: String) throws -> HTTPGet.Server {
        let path = "\(dataDirectory)/\(addressFile)"
        guard let bytes = try? FileSystem.contents(path) else {
            throw TraceError(
                .notFound,
                "no aggregator has run in \(dataDirectory)",
                remedy: "Name the data directory with --data, or the address with --metrics"
            )
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let address = HTTPGet.Server(trimmed, in: dataDirectory) else {
            throw TraceError(.corrupt, "\(path) holds no address")
        }
        return address
    }
}
