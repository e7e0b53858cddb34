import ActivityMonitoring
import GRPCServices
import GRPCTransport
import Glibc
import IngestLog
import LogReplica
package import Logging
package import SystemIO
import TraceMetrics
package import TraceModel
import TraceTime

/// The router process: recovers the log, serves gRPC, and shuts down in order. One for each data directory.
package final class Router {
    /// Settings of the router.
    package struct Configuration: Sendable {
        /// Address for agents, such as `127.0.0.1:50051`.
        package var address: String
        /// Number of workers of each resource, for a new data directory.
        package var workers: [Resource: Int]
        /// Seconds without batches after which the cluster ends; nil: never.
        package var inactivitySeconds: Int?
        package var timeZone: String?
        /// Maximum size of the ingest log in bytes; nil: half of the disk.
        package var logBudgetBytes: Int?
        /// Meaning of the fields of batches that do not declare it.
        package var defaultSemantics: Semantics
        /// Proxies that are believed what they say of their clients; one on a Unix socket always is.
        package var trustedProxies: [AddressRange]
        /// Whether a batch's host has to be the name in its client's certificate.
        package var requiresHostIdentity: Bool
        /// Where the log is replicated to, and the log's name there; nil if it is not.
        package var replica: (addresses: ReplicaAddresses, name: String)?

        package init(
            address: String,
            workers: [Resource: Int],
            inactivitySeconds: Int?,
            timeZone: String?,
            logBudgetBytes: Int?,
            defaultSemantics: Semantics,
            trustedProxies: [AddressRange] = [],
            requiresHostIdentity: Bool = false,
            replica: (addresses: ReplicaAddresses, name: String)? = nil
        ) {
            self.address = address
            self.workers = workers
            self.inactivitySeconds = inactivitySeconds
            self.timeZone = timeZone
            self.logBudgetBytes = logBudgetBytes
            self.defaultSemantics = defaultSemantics
            self.trustedProxies = trustedProxies
            self.requiresHostIdentity = requiresHostIdentity
            self.replica = replica
        }
    }

    /// The reason why the router ended.
    package enum Ending: Sendable {
        case signal
        /// No batch was received for the configured time: everything is finalized, and the cluster has to end.
        case inactivity
    }

    private let configuration: Configuration
    private let logger: Logger

    package init(configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs in the data directory until SIGTERM or SIGINT. Returns once everything taken is durable. Runs on the
    /// calling thread, which must have all signals blocked.
    /// - Throws: any error that prevents it from starting, in words for the operator.
    package func run() throws -> Ending {
        Limits.assertRelations()
        let zone = try TimeZoneRules.configure(configuration.timeZone)
        let logger = logger
        let data = try DataDirectory.open { damage in
            logger.warning(
                "A copy of the manifest was damaged, and is written anew from the other one",
                metadata: ["why": "\(damage)"]
            )
        }
        let lock = try File(ClusterPaths.lock, .readWrite)
        // The lock is on the directory itself: a lock file could be removed, which would let a second router in.
        let directory = try File(".", .read)
        guard try lock.lock(), try directory.lock() else {
            let holder = LockHolder.find(of: directory) ?? LockHolder.find(of: lock)
            throw TraceError(
                .configuration,
                "Another router\(holder.map { " (process \($0))" } ?? "") uses this data directory",
                remedy: "Stop it, or name another directory with --data"
            )
        }
        try HashSecret.ensure { logger.warning("\($0)") }
        func recover() throws -> RouterRecovery {
            try RouterRecovery.start(
                salt: data.salt,
                fresh: RouterState(slotMap: SlotMap(workers: configuration.workers)),
                logger: logger
            )
        }
        var recovered: RouterRecovery
        do {
            recovered = try recover()
        } catch let lost as RouterLost {
            try unsafe Array("\(lost)\n".utf8).withUnsafeBytes {
                try unsafe FileSystem.publish(ClusterPaths.routerLost, $0)
            }
            throw lost
        }
        try FileSystem.remove(ClusterPaths.routerLost)
        let replication = try replicate(data, &recovered, recover: recover)
        var writer = try LogWriter(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: data.salt,
            recovery: recovered.log
        )
        try unsafe recovered.report(in: &writer) { bytes, lsn in
            unsafe replication?.append(bytes, lsn: lsn)
            return replication != nil
        }
        let slotMap = CurrentSlotMap(recovered.state.slotMap)
        try DeadLetterRecovery.run(
            recovered.state.verdicts,
            logBegin: recovered.log.begin,
            logger: logger
        )
        let context = RouterContext(
            incarnation: try Incarnation.take(for: MetricSnapshot.router),
            logSalt: data.salt,
            damaged: recovered.damaged,
            accepted: writer.counts.acceptedTotal,
            logFaults: recovered.logFaults,
            logBudgetBytes: try configuration.logBudgetBytes ?? FileSystem.totalBytes(
                at: ClusterPaths.log
            ) / 2
        )
        context.logBegin = writer.begin
        let inbox = try FabricInbox(durable: writer.end)
        let queue = IngestQueue(
            dedup: recovered.state.dedup,
            defaultSemantics: configuration.defaultSemantics
        )
        let window = recovered.state.window
        let counts = writer.counts
        let maps = recovered.maps
        let verdicts = recovered.state.verdicts
        let committer = Committer(
            queue: queue,
            fabric: inbox,
            writer: writer,
            state: recovered.state,
            window: recovered.openWindow,
            pending: recovered.pending,
            stems: StemClock(zone: zone),
            context: context,
            endFile: openEndFile(data),
            replication: replication,
            logger: logger
        )
        let coordinator = DeadLetterCoordinator(
            queue: queue,
            context: context,
            wakeup: inbox.wakeup,
            logger: logger
        )
        let large = LargeBatches(
            queue: queue,
            context: context,
            log: LogDirectory(path: ClusterPaths.log),
            defaultSemantics: configuration.defaultSemantics,
            logger: logger
        )
        let largeThread = DedicatedThread("large-batches") { large.run() }
        let deskThread = DedicatedThread("dead-letters") { coordinator.run() }
        let commitThread = DedicatedThread("commit") { committer.run() }
        let fabricThread = DedicatedThread("fabric") {
            do {
                try FabricLoop(
                    inbox: inbox,
                    context: context,
                    maps: maps,
                    verdicts: verdicts,
                    coordinator: coordinator,
                    counts: counts,
                    window: window,
                    logger: logger
                ).run()
            } catch {
                logger.critical("The fabric cannot start", metadata: ["error": "\(error)"])
                exit(1)
            }
        }
        let ending = try serve(
            queue: queue,
            large: large,
            context: context,
            slotMap: slotMap,
            coordinator: coordinator,
            machine: data.machine
        )
        // Ended before the committer, because it may be waiting for the committer's answer.
        coordinator.end()
        deskThread.join()
        large.end()
        largeThread.join()
        queue.end()
        commitThread.join()
        context.isStopping = true
        inbox.wakeup.signal()
        fabricThread.join()
        withExtendedLifetime(lock) {}
        withExtendedLifetime(directory) {}
        return ending
    }

    /// Takes over the log's replica; nil if there is none. Waits as long as no quorum of its servers answers. `recover` reads
    /// the log anew.
    private func replicate(
        _ data: DataDirectory,
        _ recovered: inout RouterRecovery,
        recover: () throws -> RouterRecovery
    ) throws -> Replication? {
        guard let (addresses, name) = configuration.replica else { return nil }
        let replica = try ReplicaStart.connect(addresses, name: name, logger: logger)
        var start = try ReplicaStart(replica, salt: data.salt, logger: logger)
        return try start.takeOver(&recovered, recover: recover)
    }

    /// Returns nil if the file cannot be written: a loss of the log's end is then not detected in all cases.
    private func openEndFile(_ data: DataDirectory) -> LogEndFile? {
        do { return try LogEndFile(salt: data.salt) } catch {
            logger.warning(
                "How far the log goes is not noted beside it",
                metadata: ["error": "\(error)"]
            )
            return nil
        }
    }

    // MARK: Serve

    /// Serves calls until a signal, inactivity or an error ends that, then answers the calls in progress.
    private func serve(
        queue: IngestQueue,
        large: LargeBatches,
        context: RouterContext,
        slotMap: CurrentSlotMap,
        coordinator: DeadLetterCoordinator,
        machine: String
    ) throws -> Ending {
        let health = HealthService()
        let services = HandlerGroup([
            (
                TracerService.methods,
                TracerHandler(
                    queue: queue,
                    large: large,
                    context: context,
                    machine: machine,
                    requiresHostIdentity: configuration.requiresHostIdentity
                )
            ),
            (
                AdminService.methods,
                AdminHandler(
                    queue: queue,
                    context: context,
                    slotMap: slotMap,
                    coordinator: coordinator,
                    logger: logger
                )
            ), (HealthService.methods, health), (ReflectionService.methods, ReflectionService()),
        ])
        var bounds = GRPCServerConfiguration()
        bounds.proxies = configuration.trustedProxies
        bounds.exhaustedTrailers = [
            RetryInfo.trailer(
                status: .resourceExhausted,
                message: "The server is at its limits",
                delaySeconds: 1
            )
        ]
        let server = GRPCServer(configuration: bounds, methods: services.methods, handler: services)
        let sockets: [ListeningSocket]
        do {
            sockets = try listen(server)
            try FileSystem.remove(ClusterPaths.adminSocket)
            _ = try server.bind(ClusterPaths.adminAddress)
        } catch {
            server.shutdown(deadlineSeconds: 0)
            throw error
        }
        server.start()
        health.setServing(true)
        logger.info(
            "Accepting batches",
            metadata: ["address": "\(sockets.map(\.address).joined(separator: ", "))"]
        )
        for socket in sockets where !socket.isLoopback {
            logger.warning(
                "Other machines may reach this port, and gRPC 1.51 has known holes: use a firewall, or a proxy with mTLS",
                metadata: ["address": "\(socket.address)"]
            )
        }
        if server.connectionsMax < bounds.connectionsMax {
            logger.warning(
                "This process may have few descriptors open, so few agents are served at once and others wait: raise the hard limit (ulimit -Hn, LimitNOFILE=)",
                metadata: [
                    "connections": "\(server.connectionsMax)", "usual": "\(bounds.connectionsMax)",
                ]
            )
        }
        Readiness.ready()
        var watch = QuietWatch(
            queue: queue,
            context: context,
            inactivitySeconds: configuration.inactivitySeconds,
            logger: logger,
            takeFull: { server.takeFull() }
        )
        let ending = Result { () throws(TraceError) in try watch.wait() }
        Readiness.stopping()
        let reason =
            switch ending {
            case .success(let ending): "\(ending)"
            case .failure: "unreachable"
            }
        logger.info("Ending", metadata: ["reason": "\(reason)"])
        health.stop()
        // Calls that arrived after a drain are held and never answered, so there is little to wait for. A router that
        // clients cannot reach has to end soon.
        let isShort = context.isDraining || (try? ending.get()) == nil
        server.shutdown(deadlineSeconds: isShort ? 1 : Double(Limits.routerEndSeconds))
        return try ending.get()
    }

    /// Listens on the sockets of a supervisor, which keeps them open while the router restarts; without them on the
    /// configured address.
    private func listen(_ server: GRPCServer) throws -> [ListeningSocket] {
        let inherited = try ListeningSocket.inherited()
        guard inherited.isEmpty else {
            try server.listen(on: inherited)
            return inherited
        }
        return try server.listen(on: configuration.address)
    }
}
