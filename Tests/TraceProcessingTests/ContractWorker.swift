import Foundation
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing
import TraceTime

/// A worker as a role runs one: a processor over its files in a data directory.
final class ContractWorker {
    static let stem = "20251009_085320"

    /// Configured once: it is the process's.
    static let zone = Result { try TimeZoneRules.configure("UTC") }

    let files: TraceFileManager
    let processor: any TraceProcessor
    private(set) var lsn: LSN = 0
    /// Of the window last finalized.
    private(set) var summary: [UInt8] = []

    /// A new worker, or what a checkpoint left of one.
    init(
        _ resource: Resource,
        index: Int = 0,
        root: String,
        checkpoint: ContractCheckpoint? = nil,
        guardsFormulas: Bool = false,
        budget: FileBudget = FileBudget(),
        state: StateBudget = StateBudget()
    ) throws {
        files = try TraceFileManager(
            worker: WorkerName(resource: resource, index: index),
            csvHeader: ProcessorRegistry.csvHeader(of: resource),
            timeZoneName: "UTC",
            guardsFormulas: guardsFormulas,
            root: root,
            budget: budget
        )
        processor = ProcessorRegistry.makeProcessor(
            of: resource,
            files: files,
            zone: try Self.zone.get(),
            budget: state
        )
        guard let checkpoint else {
            try files.restore(from: nil)
            files.openWindow(7)
            return
        }
        try checkpoint.offsets.withUnsafeBytes { try files.restore(from: ByteView($0)) }
        for (slot, state) in checkpoint.slots { try load(state, slot: slot) }
        lsn = checkpoint.lsn
    }

    /// How many events were processed.
    @discardableResult func apply(_ batch: ContractBatch) throws -> Int {
        lsn = batch.lsn
        var name = batch.host
        let host = name.withUTF8 {
            let isThisMachine = batch.host == EventGenerator.hosts[0]
            return files.registerHost(
                ByteView(UnsafeRawBufferPointer($0)),
                isThisMachine: isThisMachine
            )
        }
        return try batch.bytes.withUnsafeBytes {
            try processor.processTraces(
                TraceBatchView(
                    bytes: $0,
                    host: host,
                    hostHash: ContractEvent.hash(batch.host),
                    arrival: batch.arrival,
                    lsn: batch.lsn,
                    semantics: batch.semantics
                ),
                isLastBatch: false
            )
        }
    }

    func apply(_ batches: some Sequence<ContractBatch>) throws {
        for batch in batches { try apply(batch) }
    }

    func finalize() throws -> [ClosedFile] {
        let closed = try processor.finalize(stem: Self.stem, nextWindow: files.window + 1)
        summary = processor.takeSummary()
        return closed
    }

    // MARK: State

    func checkpoint() throws -> ContractCheckpoint {
        try files.flush(.all)
        try files.sync()
        var offsets = RawBuffer()
        files.saveOffsets(into: &offsets)
        var slots: [UInt8: [UInt8]] = [:]
        for slot in 0...UInt8.max { slots[slot] = state(of: slot) }
        return ContractCheckpoint(lsn: lsn, offsets: Array(offsets.bytes), slots: slots)
    }

    func state(of slot: UInt8) -> [UInt8] {
        var buffer = RawBuffer()
        processor.saveState(slot: slot, into: &buffer)
        return Array(buffer.bytes)
    }

    func load(_ state: [UInt8], slot: UInt8, version: UInt32 = StateVersion.current) throws {
        try state.withUnsafeBytes {
            var reader = StateReader($0)
            reader.version = version
            try processor.loadState(slot: slot, from: &reader)
            guard reader.remaining == 0 else {
                throw TraceError(.corrupt, "slot \(slot): \(reader.remaining) bytes left")
            }
        }
    }

    /// All of the state, slot after slot.
    var state: [UInt8] { (0...UInt8.max).flatMap { state(of: $0) } }

    /// All samples that follow from the log.
    var samples: [String] {
        processor.allSamples(lsn: lsn).flatMap(\.samples).map { "\($0)" }.sorted()
    }
}
