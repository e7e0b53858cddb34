import ActivityMonitoring
import GRPCServices
import GRPCTransport
import Glibc
import IngestLog
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

        package init(
            address: String,
            workers: [Resource: Int],
            inactivitySeconds: Int?,
            timeZone: String?,
            logBudgetBytes: Int?,
            defaultSemantics: Semantics,
            trustedProxies: [AddressRange] = [],
            requiresHostIdentity: Bool = false
        ) {
            self.address = address
            self.workers = workers
            self.inactivitySeconds = inactivitySeconds
            self.timeZone = timeZone
            self.logBudgetBytes = logBudgetBytes
            self.defaultSemantics = defaultSemantics
            self.trustedProxies = trustedProxies
            self.requiresHostIdentity = requiresHostIdentity
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
        var recovered: RouterRecovery
        do { recovered = try recover(data) } catch let lost as RouterLost {
            try unsafe Array("\(lost)\n".utf8).withUnsafeBytes {
                try unsafe FileSystem.publish(ClusterPaths.routerLost, $0)
            }
            throw lost
        }
        try FileSystem.remove(ClusterPaths.routerLost)
        var writer = try LogWriter(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: data.salt,
            recovery: recovered.log
        )
        try report(&recovered, in: &writer)
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

    /// Replays the log, and continues after a loss that an operator has accepted.
    /// - Throws: `RouterLost` if the log has lost its start or end, and that is not accepted.
    private func recover(_ data: DataDirectory) throws -> RouterRecovery {
        var recovered = try RouterRecovery.run(
            salt: data.salt,
            fresh: RouterState(slotMap: SlotMap(workers: configuration.workers)),
            logger: logger
        )
        let noted = LogEnd.read(salt: data.salt)
        if noted == nil, recovered.log.end > 0 {
            logger.warning(
                "Nothing says how far the log went before this start, as after a version before 0.2: of what was lost at its end until now only what workers have saved is known, and lost events are in no count. From now on it is noted",
                metadata: ["file": "\(ClusterPaths.logEnd)", "end_lsn": "\(recovered.log.end)"]
            )
        }
        let begin = recovered.log.begin
        let lostBegin = LogLoss.findBegin(
            begin,
            maps: recovered.maps,
            accepted: recovered.damaged,
            checkpoints: begin == 0 ? [:] : WorkerCheckpoints.positions { $0 < begin }
        )
        let lostEnd = LogLoss.find(
            end: recovered.log.end,
            isEmpty: recovered.log.bases.isEmpty,
            cut: recovered.log.cut,
            evidence: try .gather(noted: noted, end: recovered.log.end)
        )
        let losses = [lostBegin, lostEnd].compactMap { $0 }
        guard !losses.isEmpty else {
            try LogLoss.settled()
            if !recovered.unreported.isEmpty {
                let workers = WorkerCheckpoints.positions { _ in true }.keys
                try recovered.crossLostBarriers(noted: noted, workers: workers)
            }
            return recovered
        }
        try LogLoss.requireAcceptance(of: losses)
        let checkpoints = WorkerCheckpoints.positions { _ in true }
        for loss in losses {
            if loss.isBegin {
                recovered.goOn(withoutBegin: loss, checkpoints: checkpoints, logger: logger)
            } else {
                try recovered.goOn(
                    behind: loss,
                    noted: noted,
                    checkpoints: checkpoints,
                    logger: logger
                )
            }
        }
        // Without a checkpoint such a worker would wait for hand-over files that nobody writes.
        let first = recovered.log.begin
        for worker in recovered.state.slotMap.allWorkers
        where losses.contains(where: { $0.range.upperBound == first }) && checkpoints[worker] == nil
            && recovered.maps.ownedFirst(by: worker)
        { try CheckpointPosition.publishBlank(of: worker, at: first, renewed: first) }
        return recovered
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

    /// Logs the damage that recovery found: the events in it count as dead-lettered from then on.
    private func report(
        _ recovered: inout RouterRecovery,
        in writer: inout LogWriter
    ) throws(SystemError) {
        guard !recovered.unreported.isEmpty else { return }
        var group = LogGroup(capacity: 4_096)
        var counts = writer.counts
        for damage in recovered.unreported {
            var body = RawBuffer()
            damage.encode(into: &body)
            let target = unsafe group.append(
                .damage,
                arrival: WallClock.now(),
                bodyBytes: body.count
            )
            unsafe UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(
                from: body.bytes
            )
            counts.deadLettered += damage.events
        }
        let totals = counts
        let state = recovered.state
        try writer.commit(&group, countsAt: { _ in totals }, head: { state.encodeHead(into: &$0) })
        recovered.reported()
        try LogLoss.settled()
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
