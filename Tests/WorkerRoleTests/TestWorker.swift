import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
import TraceWire

@testable import TraceTime
@testable import WorkerRole

/// A function worker as the role runs one, in the working directory.
struct TestWorker {
    let name: WorkerName
    let processor: any TraceProcessor
    /// The checkpoint it was restored from; nil for a new worker.
    let checkpoint: WorkerCheckpoint?
    /// The damage of one copy of the checkpoint.
    let damage: String?

    static let host = Array("host-1".utf8)

    /// Creates a worker from its checkpoint, or a new one if there is none.
    init(_ index: Int = 0) throws {
        name = WorkerName(resource: .function, index: index)
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: .function),
            timeZoneName: "UTC"
        )
        processor = ProcessorRegistry.makeProcessor(
            of: .function,
            files: files,
            zone: TimeZoneRules(name: "UTC")
        )
        try FileSystem.createDirectory(ClusterPaths.checkpoints)
        var found: String?
        checkpoint = try WorkerCheckpoint.restore(for: name, into: processor) { damage, write in
            found = damage
            try write()
        }
        damage = found
        guard checkpoint == nil else { return }
        try processor.files.restore(from: nil)
        processor.files.openWindow(3)
    }

    /// Returns the slot of a process of `host`.
    static func slot(of process: UInt32) -> UInt8 {
        Slot.of(hostHash: host.withUnsafeBytes { Slot.hash(host: $0) }, processID: process)
    }

    /// Applies calls that these processes enter and do not leave.
    func apply(
        _ processes: some Sequence<UInt32>,
        at lsn: LSN,
        function: String = "work"
    ) throws {
        var encoder = BatchEncoder()
        for process in processes {
            var event = BatchEncoder.Function()
            event.functionName = function
            event.tgid = process
            event.pid = process
            event.cookie = Int64(process)
            encoder.append(event)
        }
        let id = Self.host.withUnsafeBytes {
            processor.files.registerHost(ByteView($0), isThisMachine: true)
        }
        let view = TraceBatchView(
            bytes: encoder.bytes,
            host: id,
            hostHash: Self.host.withUnsafeBytes { Slot.hash(host: $0) },
            arrival: 1_760_000_000_000_000_000 + Int64(lsn),
            lsn: lsn,
            semantics: .cumulative
        )
        _ = try processor.processTraces(view, isLastBatch: false)
    }

    func state(of slot: UInt8) -> [UInt8] {
        var buffer = RawBuffer()
        processor.saveState(slot: slot, into: &buffer)
        return Array(buffer.bytes)
    }

    /// Syncs rows and publishes the checkpoint, as the apply loop does.
    func publish(_ checkpoint: WorkerCheckpoint, slots: [UInt8]) throws {
        try processor.files.flush(.all)
        try processor.files.sync()
        try checkpoint.publish(for: name, processor: processor, slots: slots)
    }
}
