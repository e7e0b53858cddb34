/// The object that `tracectl status --json` prints and the aggregator serves as `/status`.
package struct ClusterStatus: Codable, Equatable, Sendable {
    package struct Process: Codable, Equatable, Sendable {
        package var pid: Int?

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
        package var lagBytes: Int
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
    package var router = Process()
    package var aggregator = Process()
    package var workers: [Worker] = []
    package var receivedEvents = 0
    package var writtenEvents = 0
    package var deduplicatedEvents = 0
    package var deadLetteredEvents = 0
    package var rejectedEvents = 0
    /// Nil where nobody says.
    package var merging: Merging?

    /// Nothing is known: nobody answers.
    package static let unknown = ClusterStatus()
}
