import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

@testable import WorkerRole

/// Tests the hand-over of slots between workers.
@Suite struct HandoverTests {
    private let directory: TemporaryDirectory
    private let handover = Handover(resource: .function, lsn: 4_096)

    init() throws { directory = try TemporaryDirectory() }

    private static let slots = (UInt8.min ... .max).filter { $0 % 4 != 0 }

    private func unexpected(_ damage: String) { Issue.record("\(damage)") }

    @Test func whatOneGivesAnotherTakes() throws {
        try directory.asWorkingDirectory {
            let old = try TestWorker(0)
            let new = try TestWorker(1)
            try old.apply(1...300, at: 8)
            let given = Dictionary(grouping: Self.slots) { $0 % 4 }
            for (owner, slots) in given.sorted(by: { $0.key < $1.key }) {
                try handover.give(slots, from: 0, to: Int(owner), processor: old.processor)
            }
            let mine = try #require(given[1])
            #expect(try handover.take(mine, by: 1, into: new.processor, report: unexpected))
            for slot in UInt8.min ... .max {
                let expected = mine.contains(slot) ? old.state(of: slot) : nil
                if let expected { #expect(new.state(of: slot) == expected, "slot \(slot)") }
            }
            let events = (UInt32(1)...300).count { mine.contains(TestWorker.slot(of: $0)) }
            #expect(new.processor.totalTraces == UInt64(events))
            try handover.remove(for: 1)
            let left = Set(try FileSystem.list("checkpoints/handover").map(MirroredFile.name))
            #expect(left == ["function.4096.0-2", "function.4096.0-3"])
            try handover.remove(for: 1)
        }
    }

    /// No slot is taken over before all files exist; otherwise, some slots would count from zero.
    @Test func aNewOwnerWaitsForAllOldOnes() throws {
        try directory.asWorkingDirectory {
            let first = try TestWorker(0)
            let second = try TestWorker(1)
            let new = try TestWorker(2)
            try first.apply(1...100, at: 8)
            try second.apply(200...300, at: 8)
            let slots: [UInt8] = Array(0..<100)
            #expect(try !handover.take(slots, by: 2, into: new.processor, report: unexpected))
            let half = Array(slots.prefix(50))
            try handover.give(half, from: 0, to: 2, processor: first.processor)
            #expect(try !handover.take(slots, by: 2, into: new.processor, report: unexpected))
            #expect(new.processor.totalTraces == 0)
            let rest = Array(slots.suffix(50))
            try handover.give(rest, from: 1, to: 2, processor: second.processor)
            // Files of another barrier or for another receiver are ignored.
            let others = Handover(resource: .function, lsn: 40_960)
            try others.give(slots, from: 0, to: 2, processor: first.processor)
            try handover.give(slots, from: 0, to: 12, processor: first.processor)
            #expect(try handover.take(slots, by: 2, into: new.processor, report: unexpected))
            #expect(half.map { new.state(of: $0) } == half.map { first.state(of: $0) })
            #expect(rest.map { new.state(of: $0) } == rest.map { second.state(of: $0) })
            // Taking the slots again, as after a crash before the next checkpoint, has the same result.
            #expect(try handover.take(slots, by: 2, into: new.processor, report: unexpected))
            #expect(half.map { new.state(of: $0) } == half.map { first.state(of: $0) })
            try handover.remove(for: 2)
            let left = Set(try FileSystem.list("checkpoints/handover").map(MirroredFile.name))
            #expect(left == ["function.4096.0-12", "function.40960.0-2"])
        }
    }

    /// Publishes a checkpoint of a worker that owns the given slots.
    private func save(_ worker: TestWorker, lsn: LSN, slots: [UInt8]) throws {
        var owners = [UInt16](repeating: 9, count: Slot.count)
        for slot in slots { owners[Int(slot)] = UInt16(worker.name.index) }
        let checkpoint = WorkerCheckpoint(
            lsn: lsn,
            windowBegin: 0,
            window: 3,
            gained: nil,
            owners: owners,
            announcements: [],
            rules: []
        )
        try worker.processor.files.flush(.all)
        try checkpoint.publish(for: worker.name, processor: worker.processor, slots: slots)
    }

    /// A giver that had written its file, but no checkpoint behind it, writes the file again: with other state, if a
    /// part of the log was lost meanwhile.
    @Test func aFileIsTakenOnceItsGiverCannotWriteItAgain() throws {
        try directory.asWorkingDirectory {
            let old = try TestWorker(0)
            let new = try TestWorker(1)
            try old.apply(1...300, at: 8)
            let slots: [UInt8] = Array(0...99)
            try save(old, lsn: 4_088, slots: slots)
            try handover.give(slots, from: 0, to: 1, processor: old.processor)
            #expect(try !handover.take(slots, by: 1, into: new.processor, report: unexpected))
            try save(old, lsn: 4_096, slots: [])
            #expect(try handover.take(slots, by: 1, into: new.processor, report: unexpected))
            #expect(new.state(of: 50) == old.state(of: 50))
        }
    }

    /// Once all others have passed the barrier, what is missing never comes.
    @Test func slotsThatNobodyCanGiveAreReported() throws {
        try directory.asWorkingDirectory {
            let workers = try [0, 2, 3].map { try TestWorker($0) }
            let new = try TestWorker(1)
            func take() throws -> Bool {
                try handover.take([7, 8], by: 1, into: new.processor, report: unexpected)
            }
            // Nothing is known of others.
            #expect(try !take())
            // Two of them have passed the barrier, and the third one has the slots below it, then does not.
            try save(workers[0], lsn: 8_192, slots: [])
            try save(workers[1], lsn: 4_096, slots: [])
            try save(workers[2], lsn: 2_048, slots: [8])
            #expect(try !take())
            try CheckpointPosition.publishBlank(of: workers[2].name, at: 2_048, renewed: 2_048)
            #expect(try !take())
            try save(workers[2], lsn: 2_048, slots: [9])
            let error = #expect(throws: TraceError.self) { _ = try take() }
            #expect(error?.code == .corrupt && error?.remedy?.contains("function.1") == true)
            // A worker without a checkpoint may be about to start.
            try FileSystem.createDirectory("segments/function.5")
            #expect(try !take())
        }
    }

    private func give() throws -> (old: TestWorker, copies: [String], whole: [UInt8]) {
        let old = try TestWorker(0)
        try old.apply(1...20, at: 8)
        try handover.give([1, 2, 3], from: 0, to: 1, processor: old.processor)
        let path = "checkpoints/handover/function.4096.0-1"
        let copies = [path, path + ".mirror"]
        return (old, copies, try FileSystem.contents(path))
    }

    /// If either copy is damaged, the other one is used.
    @Test func oneDamagedCopyIsReportedAndTheOtherTaken() throws {
        try directory.asWorkingDirectory {
            let (old, copies, whole) = try give()
            for copy in copies {
                for position in stride(from: 0, to: whole.count, by: 7) {
                    var changed = whole
                    changed[position] ^= 0x10
                    for damaged in [changed, Array(whole[..<position])] {
                        try damaged.withUnsafeBytes { try FileSystem.publish(copy, $0) }
                        let new = try TestWorker(1)
                        var reports: [String] = []
                        let isTaken = try handover.take(
                            [1, 2, 3],
                            by: 1,
                            into: new.processor,
                            report: { reports.append($0) }
                        )
                        #expect(isTaken && reports.count == 1, "byte \(position) of \(copy)")
                        #expect(reports.first?.hasPrefix(copy) == true)
                        for slot: UInt8 in 1...3 {
                            #expect(new.state(of: slot) == old.state(of: slot))
                        }
                    }
                }
                try whole.withUnsafeBytes { try FileSystem.publish(copy, $0) }
            }
            try handover.remove(for: 1)
            #expect(try FileSystem.list("checkpoints/handover").isEmpty)
        }
    }

    /// A previous owner that repeats a barrier writes files again that have already been taken over.
    @Test func whatWasTakenLongAgoIsRemoved() throws {
        try directory.asWorkingDirectory {
            let old = try TestWorker(0)
            for lsn: LSN in [4_096, 8_192, 12_288] {
                for new in [1, 11] {
                    try Handover(resource: .function, lsn: lsn).give(
                        [7],
                        from: 0,
                        to: new,
                        processor: old.processor
                    )
                }
            }
            let worker = WorkerName(resource: .function, index: 1)
            func left() throws -> Set<String> {
                Set(try FileSystem.list("checkpoints/handover").map(MirroredFile.name)).filter {
                    $0.hasSuffix("-1")
                }
            }
            try Handover.removeTaken(by: worker, through: 8_192, except: 8_192)
            #expect(try left() == ["function.8192.0-1", "function.12288.0-1"])
            try Handover.removeTaken(by: worker, through: 8_192, except: nil)
            #expect(try left() == ["function.12288.0-1"])
            #expect(try FileSystem.list("checkpoints/handover").count == 2 + 6)
        }
    }

    @Test func twoDamagedCopiesAreRefusedAndNothingIsTaken() throws {
        try directory.asWorkingDirectory {
            let (_, copies, whole) = try give()
            let new = try TestWorker(1)
            for copy in copies {
                try whole.dropLast().withUnsafeBytes { try FileSystem.publish(copy, $0) }
            }
            let error = #expect(throws: TraceError.self) {
                _ = try handover.take([1, 2, 3], by: 1, into: new.processor, report: unexpected)
            }
            #expect(error?.code == .corrupt && error?.remedy?.contains("function.1") == true)
            #expect(new.processor.totalTraces == 0)
        }
    }
}
