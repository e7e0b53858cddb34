import Glibc
import IngestLog
import LogReplica
import Logging
import SystemIO
import TraceModel

/// What a data directory knows of its replicated log: `checkpoints/router.replica`, a `MirroredFile` whose body is the
/// directory's random number, the number of starts, and the last epoch that it has owned (0: none), three u64.
struct ReplicaMark {
    let directory: UInt64
    private(set) var starts: UInt64 = 0
    private(set) var epoch: UInt64 = 0

    private static let file = MirroredFile(ClusterPaths.routerReplica)

    /// Reads the mark, or draws a new one. Blocks.
    static func read() throws -> ReplicaMark {
        let content = try file.read(
            remedy:
                "Restore it from a backup; without it the log on this disk can't be compared with the replica"
        )
        return try content?.withBody { reader in
            var mark = ReplicaMark(directory: try reader.integer(UInt64.self))
            mark.starts = try reader.integer(UInt64.self)
            mark.epoch = try reader.integer(UInt64.self)
            return mark
        } ?? ReplicaMark(directory: UInt64.random(in: 1 ... .max))
    }

    /// Counts a start. Blocks until that is durable.
    mutating func start() throws -> ReplicaOwner {
        starts += 1
        try publish()
        return ReplicaOwner(directory: directory, start: starts)
    }

    /// Notes a takeover. Blocks until that is durable.
    mutating func owns(_ epoch: UInt64) throws {
        self.epoch = epoch
        try publish()
    }

    private func publish() throws {
        try Self.file.publish { writer in
            writer.body.append(integer: directory)
            writer.body.append(integer: starts)
            writer.body.append(integer: epoch)
        }
    }
}

/// Makes a router's log and its replica the same at the start, and takes the replica over.
struct ReplicaStart {
    private let replica: any ReplicatedLog
    private let salt: UInt32
    private let logger: Logger
    private var mark: ReplicaMark
    private let owner: ReplicaOwner
    private var waiting = WaitReport()

    private static let second: Int64 = 1_000_000_000
    private static let waitingBytesMax = 8 << 20

    init(_ replica: any ReplicatedLog, salt: UInt32, logger: Logger) throws {
        self.replica = replica
        self.salt = salt
        self.logger = logger
        mark = try ReplicaMark.read()
        owner = try mark.start()
    }

    /// Connects to NATS; waits while too few servers answer.
    /// - Throws: `TraceError(.configuration)` with what has to be changed.
    static func connect(
        _ addresses: ReplicaAddresses,
        name: String,
        logger: Logger
    ) throws -> JetStreamLog {
        var waiting = WaitReport()
        while true {
            do throws(ReplicaError) {
                let log = try JetStreamLog(JetStreamServers(addresses), name: name)
                waiting.over(logger)
                return log
            } catch { try waiting.wait(for: error, logger) }
        }
    }

    /// Returns the owner of the replica, which has everything that the log on the disk has. `recover` reads that anew.
    mutating func takeOver(
        _ recovered: inout RouterRecovery,
        recover: () throws -> RouterRecovery
    ) throws -> Replication {
        var downloaded: ReplicaPosition?
        while true {
            let content = try retrying { [replica] in try Self.read(replica) }
            let local = recovered.log.begin..<recovered.log.end
            let reconciliation = ReplicaReconciliation(
                local: local,
                epoch: mark.epoch == 0 ? nil : mark.epoch,
                directory: mark.directory,
                content: content
            )
            var end = local.upperBound
            switch reconciliation {
            case .same: break
            case .publish(let lsn): end = lsn
            case .download(let lsn):
                guard downloaded != content.next else { break }
                logger.info(
                    "The log's end is copied from the replica",
                    metadata: ["from_lsn": "\(lsn)", "to_lsn": "\(content.end)"]
                )
                try retrying { [replica] in try Self.download(replica, from: lsn) }
                downloaded = content.next
                recovered = try recover()
                continue
            case .restore:
                throw TraceError(
                    .configuration,
                    "The replicated log belongs to another data directory",
                    remedy: "Start the router there, or name another log with --cell"
                )
            case .refuse(let text):
                throw TraceError(
                    .corrupt,
                    "The log and its replica do not fit: \(text)",
                    remedy:
                        "Start the router whose log the replica has, or name another log with --cell"
                )
            }
            guard let replication = try takeOver(content, keeping: end) else { continue }
            try publish(from: end, to: local.upperBound, recovered.damaged, replication)
            logger.info(
                "The log is replicated",
                metadata: ["epoch": "\(replication.epoch)", "end_lsn": "\(replication.safe)"]
            )
            return replication
        }
    }

    /// Calls `body` until it does not fail for a reason that may pass.
    private mutating func retrying<Result>(_ body: () throws -> Result) throws -> Result {
        while true {
            do {
                let result = try body()
                waiting.over(logger)
                return result
            } catch let error as ReplicaError { try waiting.wait(for: error, logger) }
        }
    }

    /// Reads the replica up to its end.
    private static func read(
        _ replica: any ReplicatedLog,
        _ take: (ReplicaMessage, ReplicaContent.Change) throws -> Void = { _, _ in }
    ) throws -> ReplicaContent {
        let span = try replica.span()
        var content = ReplicaContent(from: span.first)
        while content.next <= span.last {
            guard let message = try replica.read(content.next) else {
                throw ReplicaError.unavailable(
                    "message \(content.next) of the replica is not there yet"
                )
            }
            try take(message, content.apply(message.header, byteCount: message.bytes.count))
        }
        return content
    }

    /// Returns an owner whose takeover is stored; nil if something was appended meanwhile.
    private mutating func takeOver(
        _ content: ReplicaContent,
        keeping end: LSN
    ) throws -> Replication? {
        let replication = Replication(replica, after: content, keeping: end, owner: owner)
        while !replication.isOwner {
            if replication.run(until: WallClock.monotonic() + Self.second) != nil { return nil }
            if let problem = replication.problem { waiting.report(problem, logger) }
        }
        waiting.over(logger)
        try mark.owns(replication.epoch)
        return replication
    }

    /// Copies the replica's bytes from the begin of a record on to the disk.
    private static func download(_ replica: any ReplicatedLog, from begin: LSN) throws {
        var copy = try LogCopy(LogDirectory(path: ClusterPaths.log), at: begin)
        _ = try read(replica) { message, change in
            let lsn = max(message.header.lsn, begin)
            switch change {
            case .ignored: break
            case .takeover: if lsn < copy.end { copy.move(to: lsn) }
            case .range:
                let skipped = Int(lsn - message.header.lsn)
                guard skipped < message.bytes.count else { return }
                // Behind a loss that an operator has accepted there is a gap.
                if lsn > copy.end { copy.move(to: lsn) }
                try unsafe message.bytes.withUnsafeBytes {
                    try unsafe copy.write(UnsafeRawBufferPointer(rebasing: $0[skipped...]))
                }
            }
        }
        try copy.finish()
    }

    /// Appends what only the disk has.
    private mutating func publish(
        from begin: LSN,
        to end: LSN,
        _ damaged: [Range<LSN>],
        _ replication: Replication
    ) throws {
        var reader = LogReader(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: salt,
            from: begin,
            damaged: damaged
        )
        while true {
            let bytes = unsafe try reader.next(budget: 1 << 20, limit: end)
            guard unsafe !bytes.isEmpty else { break }
            unsafe replication.append(bytes, lsn: reader.position - LSN(bytes.count))
            try wait(for: replication, waitingBytesMax: Self.waitingBytesMax)
        }
        try wait(for: replication, waitingBytesMax: 0)
    }

    private mutating func wait(for replication: Replication, waitingBytesMax: Int) throws {
        repeat {
            if let ending = replication.run(until: WallClock.monotonic() + Self.second / 10) {
                throw TraceError(
                    .configuration,
                    "Another router has taken over the replicated log: \(ending)"
                )
            }
            if let problem = replication.problem { waiting.report(problem, logger) }
        } while replication.waitingBytes > waitingBytesMax
        waiting.over(logger)
    }
}

/// Logs that a start waits for the replica: once for each reason, and when it goes on.
private struct WaitReport {
    private var reason: String?
    private static let pauseMicroseconds: UInt32 = 200_000

    mutating func report(_ problem: String, _ logger: Logger) {
        guard reason != problem else { return }
        reason = problem
        logger.warning("The start waits for the log's replica", metadata: ["why": "\(problem)"])
    }

    /// Waits a little before another attempt.
    /// - Throws: `TraceError(.configuration)` if that does not help.
    mutating func wait(for error: ReplicaError, _ logger: Logger) throws {
        guard case .unavailable(let problem) = error else {
            throw TraceError(.configuration, "The log cannot be replicated", cause: error)
        }
        report(problem, logger)
        usleep(Self.pauseMicroseconds)
    }

    mutating func over(_ logger: Logger) {
        guard reason != nil else { return }
        reason = nil
        logger.info("The log's replica answers")
    }
}
