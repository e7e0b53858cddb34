import Glibc
import IngestLog
package import Logging
import SystemIO
import TraceFiles
package import TraceModel
import TraceProcessing
import TraceTime

/// A worker process: one processor, its slots, its segments, its checkpoint.
package struct Worker {
    private let name: WorkerName
    private let timeZone: String?
    private let guardsFormulas: Bool
    private let stateBytesMax: Int
    private let logger: Logger

    /// `guardsFormulas`: text in tables is kept from being run as a formula by a spreadsheet. `stateBytesMax`: what its
    /// slots' state may take.
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

    /// Runs in the data directory until SIGTERM or SIGINT, on the calling thread, in which all signals
    /// have to be blocked.
    /// - Throws: `WorkerLost` where starting it again changes nothing, which `ClusterPaths.lost` says too from
    ///   then on; else whatever keeps it from starting or going on, in words for the operator.
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
            // No record's fault either.
            throw lost
        } catch {
            // What the operating system refuses is no record's fault.
            if !(error is SystemError) { cell?.cause = .failed }
            throw error
        }
    }

    /// For those who show how the cluster stands. Blocks.
    private func leaveWord(_ lost: WorkerLost) {
        do {
            try Array("\(lost)\n".utf8).withUnsafeBytes {
                try FileSystem.publish(ClusterPaths.lost(of: name), $0)
            }
        } catch { logger.warning("Only this log will say why", metadata: ["error": "\(error)"]) }
    }

    /// Without one the worker runs all the same: only deaths at a record go uncounted.
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

    /// The machine's name from the manifest, which the router writes, with the secret, when the directory is new. Until
    /// then the worker counts as ready: a supervisor may start the router only behind it.
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
