import Glibc
import IngestLog
package import Logging
import SystemIO
import TraceFiles
package import TraceModel
import TraceProcessing
import TraceTime

/// Runs a worker process: one processor with its slots, segments and checkpoint.
package struct Worker {
    private let name: WorkerName
    private let timeZone: String?
    private let guardsFormulas: Bool
    private let stateBytesMax: Int
    private let logger: Logger

    /// Creates a worker. `guardsFormulas` protects text in tables from being evaluated as a formula by a spreadsheet.
    /// `stateBytesMax` bounds the state of the worker's slots.
    package init(
        name: WorkerName,
        timeZone: String?,
        guardsFormulas: Bool,
        stateBytesMax: Int,
        logger: Logger
    ) {
        self.name = name
        self.timeZone = timeZone
        self.guardsFormulas = guardsFormulas
        self.stateBytesMax = stateBytesMax
        self.logger = logger
    }

    /// Runs in the data directory until SIGTERM or SIGINT. Runs on the calling thread, which must have all signals
    /// blocked.
    /// - Throws: `WorkerLost` if a restart changes nothing; `ClusterPaths.lost` then contains the same. Otherwise the
    ///   error that prevents it from starting or continuing, in words for the operator.
    package func run() throws {
        Limits.assertRelations()
        let zone = try TimeZoneRules.configure(timeZone)
        let machine = try awaitDirectory()
        NameHash.key(with: try HashSecret.read())
        let lock = try WorkerLock(name)
        let cell = crashCell()
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: name.resource),
            timeZoneName: zone.name,
            guardsFormulas: guardsFormulas
        )
        let processor = ProcessorRegistry.makeProcessor(
            of: name.resource,
            files: files,
            zone: zone,
            budget: StateBudget(bytesMax: stateBytesMax)
        )
        let watchdog = Watchdog(seconds: Self.watchdogSeconds, cell: cell)
        do {
            let loop = try ApplyLoop(
                worker: name,
                lock: lock,
                machine: machine,
                processor: processor,
                watchdog: watchdog,
                cell: cell,
                logger: logger
            )
            watchdog.start()
            try FileSystem.remove(ClusterPaths.lost(of: name))
            Readiness.ready()
            try run(loop, cell)
        } catch is StoppedWhileWaiting {
            logger.warning("Stopped while the disk is full; its checkpoint could not be restored")
        } catch let lost as WorkerLost {
            leaveWord(lost)
            throw lost
        }
    }

    private func run(_ loop: ApplyLoop, _ cell: CrashCell?) throws {
        do { try loop.run() } catch let lost as WorkerLost {
            // This is not the fault of a record either.
            throw lost
        } catch {
            // An error of the operating system is not the fault of a record.
            if !(error is SystemError) { cell?.cause = .failed }
            throw error
        }
    }

    /// Writes a file that says why the worker is lost, for programs that show the cluster's state. Blocks.
    private func leaveWord(_ lost: WorkerLost) {
        do {
            try unsafe Array("\(lost)\n".utf8).withUnsafeBytes {
                try unsafe FileSystem.publish(ClusterPaths.lost(of: name), $0)
            }
        } catch { logger.warning("Only this log will say why", metadata: ["error": "\(error)"]) }
    }

    /// Opens the crash cell. If that fails, the worker runs without one: deaths at a record are not counted then.
    private func crashCell() -> CrashCell? {
        do { return try CrashCell(ClusterPaths.crashCell(of: name)) } catch {
            logger.warning("Crashes will not be counted", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private static var watchdogSeconds: Int {
        #if DEBUG
        if let seconds = FaultInjection.watchdogSeconds { return seconds }
        #endif
        return Limits.watchdogSeconds
    }

    /// Returns the machine's name from the manifest, which the router writes, together with the secret, in a new
    /// directory. The worker counts as ready while it waits for that, because a supervisor may start the router only
    /// after the workers.
    private func awaitDirectory() throws -> String {
        let needed = [ClusterPaths.manifest, ClusterPaths.secret]
        if !needed.allSatisfy(FileSystem.exists) { Readiness.ready() }
        while !needed.allSatisfy(FileSystem.exists) {
            Readiness.alive()
            if SignalReceiver.poll(for: [SIGTERM, SIGINT], milliseconds: 50) != nil {
                throw TraceError(.configuration, "Stopped before the router had made the directory")
            }
        }
        return try DataDirectory.read().machine
    }
}
