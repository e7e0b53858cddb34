/// Where everything lies in a data directory. Each process changes into it at start, so all paths are
/// relative: socket paths stay below the 107 bytes that `sun_path` allows, however deep the directory.
package enum ClusterPaths {
    package static let manifest = "manifest"
    package static let lock = "run/cluster.lock"
    package static let log = "log"
    package static let segments = "segments"
    package static let checkpoints = "checkpoints"
    package static let output = "output"
    package static let run = "run"
    /// The operator's anomaly rules; may be missing.
    package static let rules = "rules.json"

    package static let adminSocket = "run/admin.sock"
    package static let adminAddress = "unix:run/admin.sock"
    /// Where the aggregator serves its pages: one line, ADDR:PORT.
    package static let aggregatorAddress = "run/aggregator.addr"
    package static let routerFabric = "ipc://run/router.sock"
    package static let aggregatorFabric = "ipc://run/aggregator.sock"

    package static func segments(of worker: WorkerName) -> String { "\(segments)/\(worker)" }
    package static func checkpoint(of worker: WorkerName) -> String {
        "\(checkpoints)/\(worker).checkpoint"
    }
}
