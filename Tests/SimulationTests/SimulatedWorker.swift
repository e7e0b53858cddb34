import ClusterMessages
import Logging
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

@testable import TraceTime
@testable import WorkerRole

/// A worker without sockets: passes messages to `Replica` and carries its actions out with `WorkerStorage`, as
/// `ApplyLoop` does.
final class SimulatedWorker {
    let name: WorkerName
    let incarnation: UInt64
    private let storage: WorkerStorage
    private var replica: Replica
    /// Duration of a checkpoint in addition to the disk's calls, in nanoseconds.
    private let checkpointCost: Int64
    private let send: (Message) -> Void

    private static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

    /// Creates a worker from its checkpoint, or a new one. `awaitSpace` waits for disk space; the failed call is
    /// repeated afterwards. `send` receives the messages that the replica decides to send.
    init(
        _ name: WorkerName,
        incarnation: UInt64,
        budget: FileBudget,
        checkpointCost: Int64,
        bugs: Set<PlantedBug>,
        awaitSpace: @escaping () -> Void,
        send: @escaping (Message) -> Void
    ) throws {
        self.name = name
        self.incarnation = incarnation
        self.checkpointCost = checkpointCost
        self.send = send
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: name.resource),
            timeZoneName: "UTC",
            budget: budget
        )
        let processor = ProcessorRegistry.makeProcessor(
            of: name.resource,
            files: files,
            zone: TimeZoneRules(name: "UTC")
        )
        let faults = WorkerFaults(bugs.compactMap(\.workerFault))
        storage = WorkerStorage(
            name,
            processor: processor,
            machine: "",
            faults: faults,
            logger: Self.logger
        )
        storage.retry.wait = awaitSpace
        let checkpoint = try storage.restore()
        storage.retry.holdReserve()
        replica = Replica(name, incarnation: incarnation, from: checkpoint, faults: faults)
    }

    // MARK: State and reports

    var isInSession: Bool { replica.isInSession }
    var appliedLSN: LSN { replica.appliedLSN }
    /// Events in the state of the slots that it owns.
    var events: UInt64 { storage.processor.totalTraces }
    var hello: Message { .hello(replica.hello(pid: 1)) }
    var progress: Message { .progress(replica.progress(of: storage.processor.files)) }
    var announced: [Message] { replica.announceable.map { .segmentsClosed($0) } }

    // MARK: Input

    /// Handles a message.
    func receive(_ message: Message) throws {
        switch message {
        case .welcome(let welcome):
            replica.welcome(welcome)
            if case .lost(let error) = replica.state { throw SimulationError("\(error)") }
        case .share(let header, let bytes):
            // The bytes are valid until all records are applied.
            return try bytes.withUnsafeBytes {
                replica.receive(header, $0)
                try carryOut()
            }
        case .windowMerged(let merged): replica.merged(merged)
        case .fenced(let fenced): replica.fenced(fenced)
        default: break
        }
        try carryOut()
    }

    /// Notes that no share is waiting, and the time.
    func idle() throws {
        replica.idle()
        replica.pass(WallClock.monotonic())
        try carryOut()
    }

    /// Writes a checkpoint, as a worker does that ends in order.
    func save() throws {
        replica.save()
        try carryOut()
    }

    private func carryOut() throws {
        while let action = replica.next(WallClock.monotonic) {
            switch action {
            case .hello: send(hello)
            case .announce: for message in announced { send(message) }
            case .work(let work):
                var outcome = try storage.carryOut(work)
                if case .written(let begin, let end) = outcome {
                    outcome = .written(from: begin, to: end + checkpointCost)
                }
                replica.did(outcome, WallClock.monotonic)
            case .end(let error): throw error
            }
        }
    }
}
