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
    private let logger: Logger

    package init(name: WorkerName, timeZone: String?, logger: Logger) {
        self.name = name
        self.timeZone = timeZone
        self.logger = logger
    }

    /// Runs in the data directory until SIGTERM or SIGINT, on the calling thread, in which all signals
    /// have to be blocked.
    /// - Throws: whatever keeps it from starting or going on, in words for the operator.
    package func run() throws {
        Limits.assertRelations()
        let zone = try TimeZoneRules.configure(timeZone)
        let machine = try awaitManifest()
        let lock = try File("\(ClusterPaths.run)/\(name).lock", .readWrite)
        guard try lock.lock() else {
            throw TraceError(
                .configuration,
                "Another process is \(name) in this data directory",
                remedy: "Stop it, or name another directory with --data"
            )
        }
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: name.resource),
            timeZoneName: zone.name
        )
        let processor = ProcessorRegistry.makeProcessor(
            of: name.resource,
            files: files,
            zone: zone
        )
        let watchdog = Watchdog()
        let loop = try ApplyLoop(
            worker: name,
            machine: machine,
            processor: processor,
            watchdog: watchdog,
            logger: logger
        )
        watchdog.start()
        Readiness.ready()
        try loop.run()
        Readiness.stopping()
        withExtendedLifetime(lock) {}
    }

    /// The machine's name from the manifest, which the router writes when the directory is new.
    private func awaitManifest() throws -> String {
        while !FileSystem.exists(ClusterPaths.manifest) {
            if SignalReceiver.poll(for: [SIGTERM, SIGINT], seconds: 1) != nil {
                throw TraceError(.configuration, "Stopped before the router had made the directory")
            }
        }
        return try DataDirectory.read().machine
    }
}
