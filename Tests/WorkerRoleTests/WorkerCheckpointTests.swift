import ClusterMessages
import Glibc
import SystemIO
import TestSupport
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

@testable import WorkerRole

/// What a worker goes on from, with a real processor and real files.
@Suite struct WorkerCheckpointTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private static let all = [UInt8](UInt8.min ... .max)

    private func example(lsn: LSN = 4_096, gained: GainedSlots? = nil) -> WorkerCheckpoint {
        WorkerCheckpoint(
            lsn: lsn,
            windowBegin: 1_024,
            window: 3,
            gained: gained,
            owners: (0..<Slot.count).map { UInt16($0 % 3) },
            announcements: [
                SegmentsClosed(
                    worker: WorkerName(resource: .function, index: 0),
                    window: 2,
                    barrierLSN: 1_024,
                    stem: "20251122_101500_2",
                    slots: [SlotRange(slots: 0...9, fromLSN: 0, toLSN: 1_024)],
                    files: [1, 2, 3],
                    summary: []
                )
            ],
            rules: Array("{}".utf8)
        )
    }

    private func expectSame(_ found: WorkerCheckpoint?, _ expected: WorkerCheckpoint) {
        #expect(found?.lsn == expected.lsn)
        #expect(found?.windowBegin == expected.windowBegin)
        #expect(found?.window == expected.window)
        #expect(found?.gained?.lsn == expected.gained?.lsn)
        #expect(found?.gained?.slots == expected.gained?.slots)
        #expect(found?.owners == expected.owners)
        #expect(found?.announcements == expected.announcements)
        #expect(found?.rules == expected.rules)
    }

    @Test func aWorkerIsRestoredAsItWas() throws {
        try directory.asWorkingDirectory {
            for gained in [
                nil, GainedSlots(lsn: 0, slots: []), GainedSlots(lsn: 77, slots: [1, 255]),
            ] {
                let before = try TestWorker()
                let base = before.checkpoint?.lsn ?? 0
                try before.apply(1...50, at: base + 8)
                let expected = example(lsn: base + 16, gained: gained)
                try before.publish(expected, slots: Self.all)
                let states = Self.all.map { before.state(of: $0) }
                // What comes after the checkpoint is undone.
                try before.apply(100...400, at: base + 24)
                try before.processor.files.flush(.all)

                let after = try TestWorker()
                expectSame(after.checkpoint, expected)
                #expect(Self.all.map { after.state(of: $0) } == states)
                #expect(after.processor.totalTraces == 50 * (base / 16 + 1))
                #expect(after.processor.files.window == 3)
            }
            let last = try TestWorker()
            let closed = try last.processor.finalize(stem: "s", nextWindow: 4)
            // Calls still open are closed by nobody: one row an entry.
            let rows = closed.filter { $0.kind == .json }.flatMap(\.runs).reduce(0) { $0 + $1.rows }
            #expect(rows == 150)
        }
    }

    @Test func onlyTheSlotsNamedAreKept() throws {
        try directory.asWorkingDirectory {
            let before = try TestWorker()
            try before.apply(1...200, at: 8)
            let kept = Self.all.filter { $0 % 2 == 0 }
            try before.publish(example(), slots: kept)
            let after = try TestWorker()
            let empty = Set(Self.all.filter { $0 % 2 == 1 }.map { after.state(of: $0) })
            #expect(empty.count == 1)
            #expect(kept.map { after.state(of: $0) } == kept.map { before.state(of: $0) })
            let events = (UInt32(1)...200).count { TestWorker.slot(of: $0) % 2 == 0 }
            #expect(after.processor.totalTraces == UInt64(events))
        }
    }

    @Test func withoutACheckpointThereIsNone() throws {
        try directory.asWorkingDirectory {
            let worker = try TestWorker()
            #expect(worker.checkpoint == nil)
        }
    }

    @Test func everyChangedOrMissingByteIsRefused() throws {
        try directory.asWorkingDirectory {
            let worker = try TestWorker()
            try worker.apply(1...3, at: 8)
            let path = ClusterPaths.checkpoint(of: worker.name)
            try worker.publish(example(), slots: [1, 2, 3])
            let whole = try FileSystem.contents(path)
            func expectRefused(_ bytes: [UInt8], _ what: String) throws {
                do {
                    let file = try File(path, .replace)
                    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
                }
                let error = #expect(throws: TraceError.self, "\(what)") {
                    _ = try WorkerCheckpoint.restore(for: worker.name, into: worker.processor)
                }
                #expect(error?.code == .corrupt && error?.remedy != nil)
                #expect(error?.message.contains(path) == true)
            }
            for position in whole.indices {
                var damaged = whole
                damaged[position] ^= UInt8(1 << (position % 8))
                try expectRefused(damaged, "byte \(position)")
            }
            for length in stride(from: 0, to: whole.count, by: 3) {
                try expectRefused(Array(whole[..<length]), "cut at \(length)")
            }
            try expectRefused(whole + [0], "a byte more")
        }
    }

    @Test func aSegmentThatIsShorterThanTheCheckpointSaysIsRefused() throws {
        try directory.asWorkingDirectory {
            let worker = try TestWorker()
            try worker.apply(1...30, at: 8)
            try worker.publish(example(), slots: Self.all)
            let segments = ClusterPaths.segments(of: worker.name)
            let trace = try #require(try FileSystem.list(segments).first { $0.hasSuffix(".json") })
            do {
                let file = try File("\(segments)/\(trace)", .readWrite)
                try file.truncate(to: try file.size() - 1)
            }
            let error = #expect(throws: TraceError.self) { _ = try TestWorker() }
            #expect(error?.code == .corrupt && error?.message.contains(trace) == true)
        }
    }
}
