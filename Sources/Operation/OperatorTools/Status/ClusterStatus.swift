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
        let names = wanted.flatMap { resource, count in
            (0..<count).map { "\(resource.name).\($0)" }
        }
        guard Set(workers.map(\.name)) == Set(names) else { return false }
        if ready { return true }
        return router.accepting == true && workers.contains { $0.lost != nil }
            && workers.allSatisfy { $0.up || $0.lost != nil }
    }

    /// Nothing is known: nobody answers.
    package static let unknown = ClusterStatus(known: false)
}
