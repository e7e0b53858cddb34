import ClusterMessages
import Glibc
import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

@testable import WorkerRole

/// Tests what a worker restores, with a real processor and real files.
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
            rules: Array("{}".utf8),
            renewed: 17
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
        #expect(found?.renewed == expected.renewed)
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
                // Changes after the checkpoint are undone.
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
            // Open calls have no end: one row for each entry.
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

    private struct Copies {
        let paths: [String]
        let whole: [UInt8]

        init(of worker: TestWorker) throws {
            let path = ClusterPaths.checkpoint(of: worker.name)
            paths = [path, path + ".mirror"]
            whole = try FileSystem.contents(path)
        }

        /// Returns the file with one byte changed, and truncated, at every `step`th position.
        func damaged(every step: Int) -> some Sequence<[UInt8]> {
            let whole = whole
            return stride(from: 0, to: whole.count, by: step).lazy.flatMap { position in
                var changed = whole
                changed[position] ^= UInt8(1 << (position % 8))
                return [changed, Array(whole[..<position])]
            }
        }

        func replace(_ index: Int, by bytes: [UInt8]) throws {
            let file = try File(paths[index], .replace)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
    }

    private func publishedWorker() throws -> TestWorker {
        let worker = try TestWorker()
        try worker.apply(1...3, at: 8)
        try worker.publish(example(), slots: [1, 2, 3])
        return worker
    }

    /// If either copy is damaged anywhere, the worker restores the same state, reports the damage, and repairs the
    /// copy. `MirroredFileTests` cover every byte.
    @Test func oneDamagedCopyCostsNothing() throws {
        try directory.asWorkingDirectory {
            let worker = try publishedWorker()
            let copies = try Copies(of: worker)
            for index in copies.paths.indices {
                for damaged in copies.damaged(every: 13) {
                    try copies.replace(index, by: damaged)
                    let after = try TestWorker()
                    expectSame(after.checkpoint, example())
                    #expect(after.damage?.hasPrefix("\(copies.paths[index]) is damaged") == true)
                    let mended = try FileSystem.contents(copies.paths[index])
                    try #require(mended == copies.whole)
                }
                try FileSystem.remove(copies.paths[index])
                let after = try TestWorker()
                expectSame(after.checkpoint, example())
                // A missing second copy is no damage, because the first start may not have written it yet.
                #expect((after.damage == nil) == (index == 1))
                #expect(try FileSystem.contents(copies.paths[index]) == copies.whole)
            }
            let sound = try TestWorker()
            #expect(sound.damage == nil)
        }
    }

    @Test func twoDamagedCopiesAreRefused() throws {
        try directory.asWorkingDirectory {
            let worker = try publishedWorker()
            let copies = try Copies(of: worker)
            func expectRefused() throws {
                let error = #expect(throws: TraceError.self) { _ = try TestWorker() }
                #expect(error?.code == .corrupt)
                #expect(error?.remedy?.contains("tracectl skip function.0 --to LSN") == true)
                #expect(error?.message.contains(copies.paths[0]) == true)
            }
            for damaged in copies.damaged(every: 1) {
                for index in copies.paths.indices { try copies.replace(index, by: damaged) }
                try expectRefused()
            }
            try FileSystem.remove(copies.paths[0])
            try expectRefused()
            for index in copies.paths.indices { try copies.replace(index, by: copies.whole + [0]) }
            try expectRefused()
        }
    }

    /// After a kill between the two writes, the newer copy is used. If it is damaged then, the older one is used,
    /// and the segments are truncated to it.
    @Test func theNewerCopyHoldsAndTheOlderOneFits() throws {
        try directory.asWorkingDirectory {
            let worker = try TestWorker()
            try worker.apply(1...30, at: 8)
            try worker.publish(example(), slots: Self.all)
            let older = try Copies(of: worker)
            let states = Self.all.map { worker.state(of: $0) }
            try worker.apply(40...90, at: 4_096)
            try worker.publish(example(lsn: 8_192), slots: Self.all)
            let newer = try Copies(of: worker)
            try newer.replace(1, by: older.whole)
            #expect(try TestWorker().checkpoint?.lsn == 8_192)
            #expect(try FileSystem.contents(newer.paths[1]) == newer.whole)

            try newer.replace(1, by: older.whole)
            try newer.replace(0, by: newer.whole.dropLast())
            let after = try TestWorker()
            expectSame(after.checkpoint, example())
            #expect(Self.all.map { after.state(of: $0) } == states)
            #expect(after.processor.totalTraces == 30)
        }
    }

    /// The router writes this for a worker that has to start again; the content of its segments is discarded.
    @Test func aBlankCheckpointIsOneWithoutState() throws {
        try directory.asWorkingDirectory {
            let before = try publishedWorker()
            try CheckpointPosition.publishBlank(of: before.name, at: 512, renewed: 9_000)
            #expect(try CheckpointPosition.read(of: before.name) == 512)
            let after = try TestWorker()
            #expect(after.checkpoint?.lsn == 512 && after.checkpoint?.renewed == 9_000)
            #expect(after.checkpoint?.owners.isEmpty == true)
            #expect(after.processor.totalTraces == 0)
            #expect(try FileSystem.list(ClusterPaths.segments(of: before.name)).isEmpty)
        }
    }

    @Test func aSegmentThatIsShorterThanTheCheckpointSaysIsNoted() throws {
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
            let after = try TestWorker()
            #expect(after.processor.files.damagedSegments == ["\(segments)/\(trace)"])
            #expect(after.processor.totalTraces == 30)
        }
    }
}
