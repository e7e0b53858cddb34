/// Where everything lies in a data directory. Each process changes into it at start, so all paths are
/// relative: socket paths stay below the 107 bytes that `sun_path` allows, however deep the directory.
package enum ClusterPaths {
    package static let manifest = "manifest"
    /// Keys the workers' hashes (`HashSecret`).
    package static let secret = "secret"
    package static let lock = "run/cluster.lock"
    package static let log = "log"
    package static let segments = "segments"
    package static let checkpoints = "checkpoints"
    /// What the aggregator saves begins so; it goes by no log.
    package static let aggregatorCheckpoints = "\(checkpoints)/aggregator."
    /// How far the log reached when it was last written to (`LogEnd`).
    package static let logEnd = "\(checkpoints)/router.end"
    /// A loss of the log's that waits for the operator's decision, and one that was accepted (`LogLoss`).
    package static let logLoss = "\(log)/loss"
    package static let acceptedLogLoss = "\(log)/loss.accepted"
    package static let output = "output"
    /// Damaged files that were moved out of the way; nothing reads them.
    package static let damaged = "damaged"
    package static let run = "run"
    /// Events that were set aside (`DeadLetterName`).
    package static let deadLetters = "deadletters"
    /// The operator's anomaly rules; may be missing.
    package static let rules = "rules.json"
    /// The operator's settings of the cluster; may be missing.
    package static let configuration = "cluster.json"
    /// What `scripts/cluster` remembers from one start to the next.
    package static let remembered = "run/cluster.conf"
    /// A directory of log files for each process, where `scripts/cluster` supervises it.
    package static let logs = "logs"
    /// A directory for each process that `scripts/cluster` supervises.
    package static let services = "\(run)/services"

    package static let adminSocket = "run/admin.sock"
    package static let adminAddress = "unix:run/admin.sock"
    /// Where the aggregator serves its pages: one line, ADDR:PORT.
    package static let aggregatorAddress = "run/aggregator.addr"
    package static let routerFabric = "ipc://run/router.sock"
    package static let aggregatorFabric = "ipc://run/aggregator.sock"

    /// Locked by the worker's process, which writes its process id into it.
    package static func lock(of worker: WorkerName) -> String { "\(run)/\(worker).lock" }
    /// What the worker's process was at when it ended; outlives it.
    package static func crashCell(of worker: WorkerName) -> String { "\(run)/\(worker).cell" }
    /// Why the worker can't be started again as it is; there only while that is so.
    package static func lost(of worker: WorkerName) -> String { "\(run)/\(worker).lost" }
    /// Why the router does not start; there only while that is so.
    package static let routerLost = "\(run)/router.lost"
    /// How the process has ended lately, where `scripts/cluster` supervises it (`scripts/service/finish`).
    package static func ends(of process: String) -> String { "\(services)/\(process)/ends" }
    package static func segments(of worker: WorkerName) -> String { "\(segments)/\(worker)" }
    /// The number of the last process of this name (`Incarnation`).
    package static func incarnation(of process: String) -> String { "\(checkpoints)/\(process).incarnation" }
    package static func checkpoint(of worker: WorkerName) -> String { "\(checkpoints)/\(worker)\(checkpointSuffix)" }
    package static let checkpointSuffix = ".checkpoint"
    /// Space held for a checkpoint on a full disk.
    package static func checkpointReserve(of worker: WorkerName) -> String { "\(checkpoints)/\(worker).reserve" }
}
