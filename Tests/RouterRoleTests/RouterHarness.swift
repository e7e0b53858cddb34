import GRPCServices
import GRPCTransport
import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole
@testable import TraceTime

/// A router without its fabric: gRPC server, queue, committer and log in a directory. `end` must always be called.
final class RouterHarness {
    static let salt: UInt32 = 0x40B7E5

    let directory: TemporaryDirectory
    let recovery: RouterRecovery
    let queue: IngestQueue
    let inbox: FabricInbox
    let context: RouterContext
    let client: GRPCClient
    private let server: GRPCServer
    private let committer: DedicatedThread
    private let large: LargeBatches
    private let largeThread: DedicatedThread

    /// Opens the directory's log as a router does at its start.
    init(
        _ directory: TemporaryDirectory,
        workers: [Resource: Int] = [:],
        logBudgetBytes: Int = .max
    ) throws {
        self.directory = directory
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let path = "\(directory.path)/\(ClusterPaths.log)"
        try FileSystem.createDirectory(path)
        recovery = try directory.asWorkingDirectory {
            try RouterRecovery.run(
                salt: Self.salt,
                fresh: RouterState(slotMap: SlotMap(workers: workers)),
                logger: logger
            )
        }
        let writer = try LogWriter(
            directory: LogDirectory(path: path),
            salt: Self.salt,
            recovery: recovery.log
        )
        context = RouterContext(
            incarnation: 1,
            logSalt: Self.salt,
            damaged: [],
            accepted: writer.counts.acceptedTotal,
            logFaults: recovery.logFaults,
            logBudgetBytes: logBudgetBytes
        )
        inbox = try FabricInbox(durable: writer.end)
        queue = IngestQueue(dedup: recovery.state.dedup)
        let committer = Committer(
            queue: queue,
            fabric: inbox,
            writer: writer,
            state: recovery.state,
            window: recovery.openWindow,
            pending: recovery.pending,
            stems: StemClock(zone: TimeZoneRules(name: "UTC")),
            context: context,
            logger: logger
        )
        self.committer = DedicatedThread("commit") { committer.run() }
        let large = LargeBatches(
            queue: queue,
            context: context,
            log: LogDirectory(path: path),
            logger: logger
        )
        self.large = large
        largeThread = DedicatedThread("large-batches") { large.run() }
        let handler = TracerHandler(
            queue: queue,
            large: large,
            context: context,
            machine: "this-machine"
        )
        server = GRPCServer(
            configuration: GRPCServerConfiguration(),
            methods: TracerService.methods,
            handler: handler
        )
        _ = try server.bind("unix:\(directory.path)/tracer.sock")
        server.start()
        client = GRPCClient(target: "unix:\(directory.path)/tracer.sock")
    }

    /// Ends like the router: calls in progress are answered first.
    func end() {
        server.shutdown(deadlineSeconds: 10)
        large.end()
        largeThread.join()
        queue.end()
        committer.join()
        client.close()
    }

    func send(_ batch: [UInt8]) throws -> TraceResponse {
        let path = TracerService.Method.sendTraceBatch.path
        return try TraceResponse(decoding: client.unary(path, batch, timeoutSeconds: 30))
    }

    /// Sends a batch and expects the response to contain `words`.
    func send(
        _ batch: [UInt8],
        expecting words: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let message = try send(batch).message
        #expect(message.contains(words), "\(message)", sourceLocation: sourceLocation)
    }

    /// Requests a barrier and waits until it is durable.
    func barrier(_ map: SlotMap? = nil) throws -> BarrierPayload {
        let answer = Locked<BarrierPayload?>(nil)
        queue.request(
            .init(reason: .command, slotMap: map) { barrier in answer.update { $0 = barrier } }
        )
        guard answer.wait(until: { $0 != nil }), let barrier = answer.current else {
            throw TraceError(.unreachable, "no barrier came")
        }
        return barrier
    }

    struct Found {
        var hosts: [String] = []
        var barriers: [(barrier: BarrierPayload, end: LSN)] = []
        var counts = LogCounts()
        var begin: LSN = 0
        var end: LSN = 0
    }

    /// Reads the current content of the log's files.
    static func read(_ directory: TemporaryDirectory) throws -> Found {
        var found = Found()
        let log = LogDirectory(path: "\(directory.path)/\(ClusterPaths.log)")
        let recovery = try LogRecovery.run(log, salt: salt) { record in
            if record.type == .batch {
                found.hosts.append(String(decoding: record.host, as: UTF8.self))
            }
            if record.type == .barrier, let barrier = try? BarrierPayload(decoding: record.body) {
                found.barriers.append((barrier, record.lsn + LSN(record.stride)))
            }
        }
        found.counts = recovery.counts
        found.begin = recovery.begin
        found.end = recovery.end
        return found
    }
}
