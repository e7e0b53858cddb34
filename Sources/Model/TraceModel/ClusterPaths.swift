/// File names in a data directory. They are relative, because each process changes into the directory at start: so
/// socket paths stay below the 107 bytes of `sun_path`, however long the directory's path.
package enum ClusterPaths {
    package static let manifest = "manifest"
    /// Key of the workers' hashes (`HashSecret`).
    package static let secret = "secret"
    package static let lock = "run/cluster.lock"
    package static let log = "log"
    package static let segments = "segments"
    package static let checkpoints = "checkpoints"
    /// Prefix of the aggregator's saved files, which do not depend on the log.
    package static let aggregatorCheckpoints = "\(checkpoints)/aggregator."
    /// End of the log as of the last write (`LogEnd`).
    package static let logEnd = "\(checkpoints)/router.end"
    package static let routerReplica = "\(checkpoints)/router.replica"
    /// A loss of log data that waits for the operator's decision, and one that was accepted (`LogLoss`).
    package static let logLoss = "\(log)/loss"
    package static let acceptedLogLoss = "\(log)/loss.accepted"
    package static let output = "output"
    /// Damaged files that were moved out of the way; nothing reads them.
    package static let damaged = "damaged"
    package static let run = "run"
    /// While it exists, `scripts/cluster stop` waits for another command to end.
    package static let stopWanted = "\(run)/stop-wanted"
    /// Dead letters: events that were set aside (`DeadLetterName`).
    package static let deadLetters = "deadletters"
    /// The operator's anomaly rules; optional.
    package static let rules = "rules.json"
    /// The operator's settings of the cluster; optional.
    package static let configuration = "cluster.json"
    /// Settings that `scripts/cluster` keeps from one start to the next.
    package static let remembered = "run/cluster.conf"
    /// Log files, one directory for each process that `scripts/cluster` supervises.
    package static let logs = "logs"
    /// s6 service directories, one for each process that `scripts/cluster` supervises.
    package static let services = "\(run)/services"

    package static let adminSocket = "run/admin.sock"
    package static let adminAddress = "unix:run/admin.sock"
    /// Address of the aggregator's pages: one line, ADDR:PORT.
    package static let aggregatorAddress = "run/aggregator.addr"
    /// Lock file of the console, which only reads otherwise.
    package static let consoleLock = "run/console.lock"
    /// Address of the console: one line, ADDR:PORT.
    package static let consoleAddress = "run/console.addr"
    /// Sockets on which router, aggregator and console listen where HAProxy stands in front of them.
    package static let grpcSocket = "run/grpc.sock"
    package static let metricsSocket = "run/metrics.sock"
    package static let consoleSocket = "run/console.sock"
    /// Lock file of the edge: `tracectl edge run`, which holds it, and HAProxy, its child.
    package static let edgeLock = "run/edge.lock"
    /// HAProxy's configuration; what it reads beside it; and the socket by which it takes commands.
    package static let edgeConfiguration = "run/edge.cfg"
    package static let edgeCertificate = "run/edge.pem"
    package static let edgeClientCA = "run/edge-ca.pem"
    package static let edgeTokens = "run/edge.tokens"
    package static let edgeSocket = "run/edge.sock"
    /// Paths of the operator's files from which those are made.
    package static let edgeSources = "run/edge.sources"
    package static let routerFabric = "ipc://run/router.sock"
    package static let aggregatorFabric = "ipc://run/aggregator.sock"

    /// Lock file of a worker; contains its process id.
    package static func lock(of worker: WorkerName) -> String { "\(run)/\(worker).lock" }
    /// Position and cause of a worker's last crash (`CrashCell`).
    package static func crashCell(of worker: WorkerName) -> String { "\(run)/\(worker).cell" }
    /// Reason why a worker cannot be started; exists only while that is so.
    package static func lost(of worker: WorkerName) -> String { "\(run)/\(worker).lost" }
    /// Reason why the router cannot be started; exists only while that is so.
    package static let routerLost = "\(run)/router.lost"
    /// Recent exits of a process supervised by `scripts/cluster` (`scripts/service/finish`).
    package static func ends(of process: String) -> String { "\(services)/\(process)/ends" }
    /// Directory of a worker's segments.
    package static func segments(of worker: WorkerName) -> String { "\(segments)/\(worker)" }
    /// Number of the last process of this name (`Incarnation`).
    package static func incarnation(of process: String) -> String {
        "\(checkpoints)/\(process).incarnation"
    }
    /// Checkpoint of a worker (`MirroredFile`).
    package static func checkpoint(of worker: WorkerName) -> String {
        "\(checkpoints)/\(worker)\(checkpointSuffix)"
    }
    package static let checkpointSuffix = ".checkpoint"
    /// The first checkpoint that the worker wrote in a window (`KeptCheckpoints`).
    package static func keptCheckpoint(of window: WorkerWindow) -> String {
        "\(checkpoints)/\(window)\(keptSuffix)"
    }
    package static let keptSuffix = ".kept"
    /// Where the segments of a worker's window are made again: a data directory in small. On the volume of the segments.
    package static func rebuild(of window: WorkerWindow) -> String { "\(rebuilds)/\(window)" }
    package static let rebuilds = "\(segments)/.rebuild"
    /// Disk space reserved for a checkpoint, in case the disk gets full.
    package static func checkpointReserve(of worker: WorkerName) -> String {
        "\(checkpoints)/\(worker).reserve"
    }
}
