import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceModel
import TraceProcessing
import TraceWire

@testable import TraceFiles
@testable import TraceTime
@testable import WorkerRole

/// Tests rebuilding a window's segments from the kept checkpoint and the log.
@Suite struct WindowRebuildTests {
    private let directory: TemporaryDirectory
    private let window = WorkerWindow(worker: WorkerName(resource: .function, index: 0), window: 3)

    init() throws { directory = try TemporaryDirectory() }

    /// A log as the router writes it, and the output of a worker that owns some of the slots.
    private struct Scene: ~Copyable {
        let worker: TestWorker
        let applier: BatchApplier
        private var writer: LogWriter
        /// Processes whose slots the worker owns.
        private let owned: [UInt16]

        init(slotsOfOthers: Set<UInt8> = []) throws {
            let identity = try DataDirectory.open()
            let salt = identity.salt
            let log = LogDirectory(path: ClusterPaths.log)
            let recovery = try LogRecovery.run(log, salt: salt) { _ in }
            let worker = try TestWorker()
            writer = try LogWriter(
                directory: log,
                salt: salt,
                recovery: recovery,
                fileBytes: 16 << 10
            )
            self.worker = worker
            applier = BatchApplier(worker.processor, machine: identity.machine)
            owned = (0..<Slot.count).map { slotsOfOthers.contains(UInt8($0)) ? 1 : 0 }
        }

        var end: LSN { writer.end }

        private func batch(_ processes: some Sequence<UInt32>) -> [UInt8] {
            var encoder = BatchEncoder()
            for process in processes {
                var event = BatchEncoder.Function()
                event.functionName = "work \(process % 7)"
                event.tgid = process
                event.pid = process
                event.cookie = Int64(process)
                encoder.append(event)
            }
            return Array(encoder.bytes)
        }

        /// Appends a record to the log and returns its LSN.
        private mutating func append(_ type: LogRecordType, _ body: [UInt8]) throws -> LSN {
            var group = LogGroup()
            let target = group.append(type, arrival: Self.arrival, bodyBytes: body.count)
            UnsafeMutableRawBufferPointer(start: target, count: body.count).copyBytes(from: body)
            if type == .batch { TestWorker.host.withUnsafeBytes { group.setHost($0) } }
            let counts = writer.counts
            try writer.commit(&group, countsAt: { _ in counts }, head: { $0.append("head") })
            return end - LSN(LogRecord.stride(payloadBytes: body.count + (type == .batch ? 6 : 0)))
        }

        static let arrival: EpochNanoseconds = 1_760_000_000_000_000_000

        /// Logs a batch and applies the worker's share, unless `isLeftOut`. Returns the LSN.
        mutating func apply(_ processes: ClosedRange<UInt32>, isLeftOut: Bool = false) throws -> LSN
        {
            let lsn = try append(.batch, batch(processes))
            let own = batch(processes.filter { owned[Int(TestWorker.slot(of: $0))] == 0 })
            guard !own.isEmpty, !isLeftOut else { return lsn }
            try own.withUnsafeBytes { body in
                try TestWorker.host.withUnsafeBytes { host in
                    try applier.apply(
                        body,
                        host: host,
                        arrival: Self.arrival,
                        lsn: lsn,
                        semantics: .cumulative
                    )
                }
            }
            return lsn
        }

        mutating func tick() throws {
            _ = try append(.tick, [])
            try worker.processor.tick(arrival: Self.arrival)
        }

        mutating func setAside(_ lsn: LSN) throws {
            let verdict = VerdictPayload(
                worker: worker.name,
                cause: .crash,
                range: lsn..<lsn + 8,
                events: 1,
                reason: "it crashes"
            )
            var body = RawBuffer()
            verdict.encode(into: &body)
            _ = try append(.verdict, Array(body.bytes))
        }

        /// Writes the worker's checkpoint and keeps a copy.
        func keep() throws {
            let slots = owned.indices.filter { owned[$0] == 0 }.map { UInt8($0) }
            let checkpoint = WorkerCheckpoint(
                lsn: end,
                windowBegin: 0,
                window: 3,
                gained: nil,
                owners: owned,
                announcements: [],
                rules: []
            )
            try worker.publish(checkpoint, slots: slots)
            try KeptCheckpoints.keep(WorkerWindow(worker: worker.name, window: 3))
        }

        /// Ends the window and returns what the worker announces.
        mutating func close(logsBarrier: Bool = true, window: UInt64 = 3) throws -> [ClosedFile] {
            let barrier = BarrierPayload(
                window: window,
                reason: .command,
                stem: "20251122_101500",
                slotMap: SlotMap(workers: [.function: 2])
            )
            var body = RawBuffer()
            barrier.encode(into: &body)
            if logsBarrier { _ = try append(.barrier, Array(body.bytes)) }
            return try worker.processor.finalize(stem: barrier.stem, nextWindow: 4)
        }
    }

    private func make() throws -> RebuiltSegments {
        let rebuild = WindowRebuild(
            window,
            timeZone: "UTC",
            guardsFormulas: false,
            stateBytesMax: Limits.stateBytesMax,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        return try rebuild.outcome(TimeZoneRules(name: "UTC"))
    }

    /// Returns the final files of a window, by name.
    private func merged(_ files: [ClosedFile]) throws -> [String: [UInt8]] {
        let merger = WindowMerger(localHostName: "here", timeZoneName: "UTC")
        let names = try merger.merge(
            resource: .function,
            window: 3,
            stem: "20251122_101500",
            files: files,
            onLoss: { Issue.record("lost: \($0)") }
        )
        defer {
            for name in names { try? FileSystem.remove(name) }
            try? FileSystem.removeTree("output/.merge")
        }
        return try Dictionary(uniqueKeysWithValues: names.map { ($0, try FileSystem.contents($0)) })
    }

    /// Expects that the rebuilt segments are published like the announced ones, and that the worker's files are
    /// unchanged.
    private func expectSame(_ announced: [ClosedFile]) throws {
        let before = try FileSystem.list(ClusterPaths.segments(of: window.worker))
        guard case .files(let rebuilt) = try make() else {
            Issue.record("not made")
            return
        }
        #expect(try FileSystem.list(ClusterPaths.segments(of: window.worker)) == before)
        #expect(!announced.isEmpty && rebuilt.count == announced.count)
        for file in announced { #expect(file.counterpart(in: rebuilt) != nil, "\(file.kind)") }
        #expect(try merged(rebuilt) == merged(announced))
    }

    @Test(arguments: [Set<UInt8>(), Set(0...99)]) func theSegmentsAreMadeAgain(
        _ others: Set<UInt8>
    ) throws {
        try directory.asWorkingDirectory {
            var scene = try Scene(slotsOfOthers: others)
            try scene.keep()
            for number in UInt32(0)..<40 {
                _ = try scene.apply(10 * number...10 * number + 60)
                if number % 5 == 0 { try scene.tick() }
                // Later checkpoints divide the segments into other runs.
                if number == 20 { try scene.keep() }
            }
            try expectSame(try scene.close())
        }
    }

    /// The checkpoint already has state and rows of the window.
    @Test func rowsOfBeforeTheCheckpointAreCopied() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            for number in UInt32(0)..<10 { _ = try scene.apply(1 + number...40 + number) }
            try scene.keep()
            for number in UInt32(0)..<10 { _ = try scene.apply(20 + number...90 + number) }
            try expectSame(try scene.close())
        }
    }

    /// The record was dead-lettered; only a later part of the log says so.
    @Test func whatVerdictsCoverIsLeftOut() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            _ = try scene.apply(1...30)
            let lsn = try scene.apply(500...530, isLeftOut: true)
            _ = try scene.apply(31...60)
            let announced = try scene.close()
            try scene.setAside(lsn)
            try expectSame(announced)
        }
    }

    private func expectImpossible(_ words: String) throws {
        guard case .impossible(let reason) = try make() else {
            Issue.record("made, though \(words)")
            return
        }
        #expect(reason.contains(words))
    }

    @Test func withoutACheckpointThereAreNone() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            _ = try scene.apply(1...30)
            _ = try scene.close()
            try expectImpossible("no checkpoint of the window was kept")
        }
    }

    @Test func aDamagedCheckpointIsNotUsed() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            _ = try scene.apply(1...30)
            _ = try scene.close()
            let path = ClusterPaths.keptCheckpoint(of: window)
            var bytes = try FileSystem.contents(path)
            bytes[bytes.count / 2] ^= 1
            try FileSystem.remove(path)
            try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
            try expectImpossible("is damaged")
        }
    }

    @Test func aLogThatIsTrimmedIsOfNoUse() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            for _ in 0..<20 { _ = try scene.apply(1...90) }
            _ = try scene.close()
            let log = LogDirectory(path: ClusterPaths.log)
            #expect(try log.bases().count > 2)
            try FileSystem.remove(log.file(base: try #require(try log.bases().first)))
            try expectImpossible("the log begins at LSN")
        }
    }

    @Test func aDamagedLogIsOfNoUse() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            let lsn = try scene.apply(1...90)
            for _ in 0..<20 { _ = try scene.apply(1...90) }
            _ = try scene.close()
            let log = LogDirectory(path: ClusterPaths.log)
            let base = try #require(try log.bases().last { $0 <= lsn })
            do {
                let file = try File(log.file(base: base), .readWrite)
                try [UInt8(0xFF)].withUnsafeBytes { try file.write($0, at: Int(lsn - base) + 200) }
            }
            try expectImpossible("the log is damaged at LSN \(lsn)..<")
        }
    }

    @Test func aWindowThatHasNoEndInTheLogIsNotMade() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            _ = try scene.apply(1...90)
            _ = try scene.close(logsBarrier: false)
            try expectImpossible("the log does not hold the window's end")
        }
    }

    @Test func anotherWindowIsNotTakenForThisOne() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            _ = try scene.apply(1...90)
            _ = try scene.close(window: 5)
            try expectImpossible("the log ends another window there")
        }
    }

    /// The requester can read the result; a damaged result counts as none.
    @Test func theOutcomeIsReadBack() throws {
        try directory.asWorkingDirectory {
            var scene = try Scene()
            try scene.keep()
            _ = try scene.apply(1...30)
            _ = try scene.close()
            #expect(RebuiltSegments.read(of: window) == nil)
            for outcome in [RebuiltSegments.impossible("the log is gone"), try make()] {
                try outcome.publish(for: window)
                #expect(RebuiltSegments.read(of: window) == outcome)
            }
            let path = "\(ClusterPaths.rebuild(of: window))/result"
            let whole = try FileSystem.contents(path)
            for index in whole.indices {
                var bytes = whole
                bytes[index] ^= 2
                try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
                try #require(RebuiltSegments.read(of: window) == nil)
            }
            try RebuiltSegments.remove(of: .function, through: 2)
            #expect(FileSystem.exists(path))
            try RebuiltSegments.remove(of: .function, through: 3)
            #expect(try FileSystem.list(ClusterPaths.rebuilds).isEmpty)
        }
    }
}
