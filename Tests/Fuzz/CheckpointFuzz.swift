import IngestLog
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
import TraceTime

@testable import WorkerRole

/// Reading a checkpoint whose checksum fits and whose content may be anything: refused, or a state that
/// is saved and loaded again as it is. The input: a byte that chooses the resource, then the body.
enum CheckpointFuzz {
    private static let zone: TimeZoneRules = {
        do { return try TimeZoneRules.configure("UTC") } catch { fatalError("\(error)") }
    }()

    static func run(_ bytes: UnsafeRawBufferPointer) throws {
        guard let choice = bytes.first, let resource = Resource(rawValue: choice) else { return }
        let worker = WorkerName(resource: resource, index: 0)
        try FileSystem.createDirectory(ClusterPaths.checkpoints)
        try CheckpointPosition.file(of: worker).publish {
            $0.body.append(UnsafeRawBufferPointer(rebasing: bytes.dropFirst()))
        }

        let processor = try makeProcessor(worker)
        let restored = try? WorkerCheckpoint.restore(for: worker, into: processor) { _, write in
            try write()
        }
        guard restored != nil else { return }
        let copy = try makeProcessor(worker)
        try copy.files.restore(from: nil)
        for slot in UInt8.min ... .max {
            var state = RawBuffer()
            var again = RawBuffer()
            processor.saveState(slot: slot, into: &state)
            var reader = StateReader(state.bytes)
            try copy.loadState(slot: slot, from: &reader)
            precondition(reader.isAtEnd, "slot \(slot): not all of its own state is read")
            copy.saveState(slot: slot, into: &again)
            precondition(again.bytes.elementsEqual(state.bytes), "slot \(slot): other state")
        }
    }

    private static func makeProcessor(_ worker: WorkerName) throws -> any TraceProcessor {
        let files = try TraceFileManager(
            worker: worker,
            csvHeader: ProcessorRegistry.csvHeader(of: worker.resource),
            timeZoneName: "UTC"
        )
        return ProcessorRegistry.makeProcessor(of: worker.resource, files: files, zone: zone)
    }
}
