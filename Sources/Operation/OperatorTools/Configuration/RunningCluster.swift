package import ClusterConfiguration
import SystemIO
import TraceModel

/// The cluster that `scripts/cluster` supervises in a data directory, as its services are laid out.
package enum RunningCluster {
    /// What its programs were started with. Blocks.
    package static func settings(in dataDirectory: String) -> RunningSettings {
        var commands: [Program: [String]] = [:]
        var workers: [Resource: Int] = [:]
        let services = "\(dataDirectory)/\(ClusterPaths.services)"
        for name in (try? FileSystem.list(services)) ?? [] where !name.hasPrefix(".") {
            guard let bytes = try? FileSystem.contents("\(services)/\(name)/argv") else { continue }
            let command = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
                .map(String.init)
            if let worker = WorkerName(name) {
                workers[worker.resource, default: 0] += 1
                commands[.worker] = command
            } else if let program = Program(rawValue: name) {
                commands[program] = command
            }
        }
        return RunningSettings(commands: commands, workers: workers)
    }
}
