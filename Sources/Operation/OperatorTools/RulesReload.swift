import AnomalyRules
import Glibc
import SystemIO
package import TraceModel

/// Has a cluster's workers take over the anomaly rules of its data directory.
package struct RulesReload {
    private let dataDirectory: String
    private let metrics: HostPort?

    /// `metrics`: the aggregator's address, where it isn't to be looked up in the data directory.
    package init(dataDirectory: String, metrics: HostPort?) {
        self.dataDirectory = dataDirectory
        self.metrics = metrics
    }

    /// How many workers were told. Blocks.
    /// - Throws: `TraceError` where the rules can't be used, of which no worker hears then, or where there
    ///   is nobody to tell.
    package func run() throws -> Int {
        try check()
        let answer = StatusQuery(dataDirectory: dataDirectory, metrics: metrics).run()
        if let problem = answer.problem { throw TraceError(.unreachable, problem) }
        let pids = answer.status.workers.filter(\.up).compactMap { $0.pid.map { pid_t($0) } }
        guard !pids.isEmpty else { throw TraceError(.unreachable, "no worker is up") }
        for pid in pids where kill(pid, SIGHUP) != 0 {
            throw TraceError(.system, "process \(pid) can't be told: error \(errno)")
        }
        return pids.count
    }

    private func check() throws {
        let path = "\(dataDirectory)/\(ClusterPaths.rules)"
        guard FileSystem.exists(path) else { return }
        _ = try RuleSet(try FileSystem.contents(path), file: path)
    }
}
