package import ActivityMonitoring
import SystemIO
import TraceModel

/// What the supervisor of `scripts/cluster` has noted in a data directory; there also while nothing of the cluster answers.
package enum SupervisedProcesses {
    /// How processes have ended lately without being asked to, by name.
    package static func ends(in dataDirectory: String) -> [String: ProcessEnds] {
        let services = "\(dataDirectory)/\(ClusterPaths.services)"
        var ends: [String: ProcessEnds] = [:]
        for name in (try? FileSystem.list(services)) ?? [] where !name.hasPrefix(".") {
            let path = "\(dataDirectory)/\(ClusterPaths.ends(of: name))"
            guard let text = try? FileSystem.contents(path) else { continue }
            ends[name] = ProcessEnds(parsing: String(decoding: text, as: UTF8.self))
        }
        return ends
    }

    /// Processes that do not stay up, and what to do: a sentence each, by name.
    package static func problems(in dataDirectory: String) -> [String] {
        let now = WallClock.now() / 1_000_000_000
        return ends(in: dataDirectory).sorted { $0.key < $1.key }
            .compactMap { $1.problem(of: $0, at: now) }
    }
}
