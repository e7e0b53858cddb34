import IngestLog
import SystemIO
import Testing
import TraceFiles
import TraceModel
import TraceProcessing
import TraceWire

@testable import TraceTime

/// Tests a processor that cannot write its rows in the middle of a batch.
@Suite struct FullDiskBatchTests {
    private static let host = Array("host".utf8)
    private static let events = 20_000

    /// Handles errors like a worker's loop, and counts them.
    private final class Observer: BatchObserver {
        var advances = 0
        var waits = 0
        /// Called instead of waiting; throws if the process ends.
        let wait: (SystemError) throws -> Void

        init(wait: @escaping (SystemError) throws -> Void) { self.wait = wait }

        func advanced() { advances += 1 }

        func writeRows(after error: SystemError) throws {
            waits += 1
            try wait(error)
        }
    }

    private struct Ended: Error {}

    private func processor() throws -> any TraceProcessor {
        let worker = WorkerName(resource: .io, index: 0)
        var budget = FileBudget()
        budget.runFlushBytes = 64 << 10
        let files = try TraceFileManager(
            worker: worker,
            csvHeader: ProcessorRegistry.csvHeader(of: .io),
            timeZoneName: "UTC",
            budget: budget
        )
        try files.restore(from: nil)
        return ProcessorRegistry.makeProcessor(
            of: .io,
            files: files,
            zone: TimeZoneRules(name: "UTC")
        )
    }

    private func apply(_ processor: any TraceProcessor) throws {
        var batch = BatchEncoder()
        for index in 0..<Self.events {
            var event = BatchEncoder.IO()
            event.timestamp = "1760000\(100 + index / 100).\(100 + index % 100)"
            event.pid = 7
            event.comm = "writer"
            batch.append(event)
        }
        let name = Self.host
        let id = name.withUnsafeBytes {
            processor.files.registerHost(ByteView($0), isThisMachine: true)
        }
        let view = TraceBatchView(
            bytes: batch.bytes,
            host: id,
            hostHash: name.withUnsafeBytes { Slot.hash(host: $0) },
            arrival: 1_760_001_000_000_000_000,
            lsn: 8,
            semantics: .cumulative
        )
        _ = try processor.processTraces(view, isLastBatch: false)
    }

    private func state(_ processor: any TraceProcessor) throws -> [UInt8] {
        var buffer = RawBuffer()
        try processor.files.flush(.all)
        try processor.files.sync()
        processor.files.saveOffsets(into: &buffer)
        for slot in 0..<Slot.count { processor.saveState(slot: UInt8(slot), into: &buffer) }
        return Array(buffer.bytes)
    }

    /// Returns state and offsets after the batch on a disk that was never full.
    private func expected() throws -> [UInt8] {
        try Simulation.$driver.withValue(SimulatedDisk(seed: 1)) {
            let processor = try processor()
            let observer = Observer { throw $0 }
            processor.observer = observer
            try apply(processor)
            #expect(observer.advances == Self.events / Limits.progressEvents)
            #expect(observer.waits == 0)
            return try state(processor)
        }
    }

    /// No event is applied while the disk is full, and the final output is the same.
    @Test func theBatchGoesOnOnceThereIsRoom() throws {
        let expected = try expected()
        let disk = SimulatedDisk(seed: 2)
        try Simulation.$driver.withValue(disk) {
            let processor = try processor()
            var tries = 0
            let observer = Observer { error in
                #expect(error.isOutOfSpace)
                let before = processor.totalTraces
                while true {
                    tries += 1
                    if tries == 40 { disk.isFull = false }
                    do {
                        try processor.files.flush(.full)
                        break
                    } catch { #expect(processor.totalTraces == before) }
                }
            }
            processor.observer = observer
            disk.isFull = true
            try apply(processor)
            #expect(observer.waits == 1 && tries >= 40)
            #expect(observer.advances == Self.events / Limits.progressEvents)
            #expect(try state(processor) == expected)
        }
    }

    /// The process ends in the middle of the batch; the next one repeats the batch from its begin.
    @Test func theBatchIsGivenUpWhereTheProcessEnds() throws {
        let expected = try expected()
        let disk = SimulatedDisk(seed: 3)
        try Simulation.$driver.withValue(disk) {
            let processor = try processor()
            let observer = Observer { _ in throw Ended() }
            processor.observer = observer
            disk.isFull = true
            #expect(throws: Ended.self) { try apply(processor) }
            #expect(processor.totalTraces < UInt64(Self.events) / 4)
            #expect(observer.waits == 1)
            disk.isFull = false
            let next = try self.processor()
            try apply(next)
            #expect(try state(next) == expected)
        }
    }
}
