import Foundation
import SystemIO
package import TraceModel

/// The object that `tracectl status --json` prints and the aggregator serves as `/status`.
package struct ClusterStatus: Codable, Equatable, Sendable {
    package struct Process: Codable, Equatable, Sendable {
        package var pid: Int?
        /// Of the router: whether it takes batches. Nil where nobody says, and of the aggregator.
        package var accepting: Bool?

        /// Written even where it is null: readers may rely on the key.
        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(pid, forKey: .pid)
        }
    }

    package struct Worker: Codable, Equatable, Sendable {
        package var name: String
        package var resource: String
        package var index: Int
        package var pid: Int?
        package var up: Bool
        /// Why starting it again changes nothing, and what does; nil where it is not so.
        package var lost: String?
        package var lagBytes: Int
        package var appliedLsn: UInt64?
        /// Up to where its events are counted as written.
        package var countedLsn: UInt64?
        /// Nil where the resource is quiet.
        package var skewRatio: Double?
    }

    package struct Merging: Codable, Equatable, Sendable {
        package struct Current: Codable, Equatable, Sendable {
            package var resource: String
            package var window: Int
            /// Of segments.
            package var mergedBytes: Int
            package var totalBytes: Int
        }

        package var waitingWindows: Int
        package var current: Current?
    }

    package var ready = false
    /// Whether anything below is known; nil where an aggregator of before 0.2 answers, which then knows.
    package var known: Bool?
    /// What is wrong with processes that run, and what to do; nil where nobody says.
    package var problems: [String]?
    package var router = Process()
    package var aggregator = Process()
    package var workers: [Worker] = []
    /// -1 where it is not known: that never equals what became of events, so nobody takes it for quiet.
    package var receivedEvents = -1
    package var writtenEvents = 0
    package var deduplicatedEvents = 0
    package var deadLetteredEvents = 0
    package var rejectedEvents = 0
    /// Rows of damaged segments, which no final file has; nil where nobody says.
    package var lostRows: Int?
    /// Nil where nobody says.
    package var merging: Merging?

    /// Below a worker is up to date: under load none is quite.
    private static let lagBytesMin = 1_000_000

    /// Whether all processes have found one another and no worker is far behind, but for workers that are down for good.
    /// `process`: the one of this name has to have this id, where it is not down for good.
    package func isCaughtUp(with process: (name: String, pid: Int)? = nil) -> Bool {
        let rest = workers.filter { $0.lost == nil }
        guard router.pid != nil, router.accepting ?? ready, problems?.isEmpty ?? true,
            rest.allSatisfy({ $0.up && $0.lagBytes < Self.lagBytesMin })
        else { return false }
        guard let process else { return true }
        switch process.name {
        case "router": return router.pid == process.pid
        case "aggregator": return aggregator.pid == process.pid
        default:
            let worker = workers.first { $0.name == process.name }
            return worker.map { $0.lost != nil || $0.pid == process.pid } ?? false
        }
    }

    /// Whether the router takes batches and these workers are there and no others, each up or down for good.
    package func isConnected(workers wanted: [Resource: Int]) -> Bool {
        let names = wanted.flatMap { resource, count in (0..<count).map { "\(resource.name).\($0)" } }
        guard Set(workers.map(\.name)) == Set(names) else { return false }
        if ready { return true }
        return router.accepting == true && workers.contains { $0.lost != nil }
            && workers.allSatisfy { $0.up || $0.lost != nil }
    }

    /// Nothing is known: nobody answers.
    package static let unknown = ClusterStatus(known: false)
}

/// Asks the aggregator how the cluster stands.
package struct StatusQuery {
    /// Where the aggregator writes the address it listens on, inside the data directory.
    package static let addressFile = ClusterPaths.aggregatorAddress
    private static let timeoutSeconds = 2

    package struct Answer: Sendable {
        /// One JSON object on one line.
        package let json: String
        package let status: ClusterStatus
        /// Why the object says nothing, where it doesn't.
        package let problem: String?
    }

    private let dataDirectory: String
    private let metrics: HostPort?

    /// `metrics`: the aggregator's address, where it isn't to be looked up in the data directory.
    package init(dataDirectory: String, metrics: HostPort?) {
        self.dataDirectory = dataDirectory
        self.metrics = metrics
    }

    /// Always an answer; one that knows nothing where the aggregator can't be reached. Blocks.
    package func run() -> Answer {
        do {
            let address = try metrics ?? recordedAddress()
            let timeout = Self.timeoutSeconds
            let body = try HTTPGet.body(of: "/status", from: address, timeoutSeconds: timeout)
            return try Self.answer(body)
        } catch {
            let status = ClusterStatus.unknown
            let json = (try? Report.json(status)) ?? "{}"
            return Answer(json: json, status: status, problem: "\(error)")
        }
    }

    /// Passes the object on as it came, keys unknown here included, after a check of its shape.
    package static func answer(_ body: [UInt8]) throws -> Answer {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            let status = try decoder.decode(ClusterStatus.self, from: Data(body))
            let object = try JSONSerialization.jsonObject(with: Data(body))
            let line = try JSONSerialization.data(
                withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
            let json = String(decoding: line, as: UTF8.self)
            return Answer(json: json, status: status, problem: nil)
        } catch { throw TraceError(.unreachable, "the aggregator's answer is no status", cause: error) }
    }

    private func recordedAddress() throws -> HostPort {
        let path = "\(dataDirectory)/\(Self.addressFile)"
        guard let bytes = try? FileSystem.contents(path) else {
            throw TraceError(
                .notFound, "no aggregator has run in \(dataDirectory)",
                remedy: "Name the data directory with --data, or the address with --metrics")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let address = HostPort(trimmed) else { throw TraceError(.corrupt, "\(path) holds no address") }
        return address
    }
}
