import AnomalyRules
import Glibc
import SystemIO
package import TraceModel

/// Makes a cluster's workers reload the anomaly rules of its data directory.
package struct RulesReload {
    private let dataDirectory: String
    private let metrics: HostPort?

    /// - Parameter metrics: The aggregator's address; nil to read it from the data directory.
    package init(dataDirectory: String, metrics: HostPort?) {
        self.dataDirectory = dataDirectory
        self.metrics = metrics
    }

    /// Checks the rules and signals every worker. Returns how many were signalled. Blocks.
    /// - Throws: `TraceError` where the rules are wrong, in which case no worker is signalled, or where no worker is
    ///   up.
    package func run() throws -> Int {
        try check()
        let answer = StatusQuery(dataDirectory: dataDirectory, metrics: metrics).run()
        if let problem = answer.problem { throw TraceError(.unreachable, problem) }
        let pids = answer.status.workers.filter(\.up).compactMap { $0.pid.map { pid_t($0) } }
        guard !pids.isEmpty else { throw TraceError(.unreachable, "no worker is up") }
        for pid in pids where kill(pid, SIGHUP) != 0 {
            throw TraceError(.system, "process \(pid) can't be signalled: error \(errno)")
        }
        return pids.count
    }

    private func check() throws {
        let path = "\(dataDirectory)/\(ClusterPaths.rules)"
        guard FileSystem.exists(path) else { return }
        _ = try RuleSet(try FileSystem.contents(path), file: path)
    }
}
