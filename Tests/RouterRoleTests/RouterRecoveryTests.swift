import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceMetrics
import TraceModel

@testable import RouterRole

/// Tests what a router knows after a restart.
@Suite(.serialized) struct RouterRecoveryTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func windowsMapAndBatchesSeenOutliveARestart() throws {
        let wider = SlotMap(workers: [.cpu: 3]).rescaled(.io, to: 6)
        let batch = TestBatch.bytes(events: 2, client: "c", sequence: 9)
        let first = try RouterHarness(directory, workers: [.cpu: 3])
        var stems: [String] = []
        do {
            defer { first.end() }
            _ = try first.send(batch)
            for map in [nil, wider, nil] { stems.append(try first.barrier(map).stem) }
        }
        // Numbers of workers given at a later start apply only to a new directory.
        let second = try RouterHarness(directory, workers: [.cpu: 8])
        defer { second.end() }
        let state = second.recovery.state
        let barriers = try RouterHarness.read(directory).barriers
        #expect(state.window == 3 && state.windowBegin == barriers.last?.end)
        #expect(state.slotMap == wider)
        #expect(second.recovery.maps.place(at: 0).map == SlotMap(workers: [.cpu: 3]))
        for (number, barrier) in barriers.enumerated() {
            let place = second.recovery.maps.place(at: barrier.end)
            #expect(place.window == UInt64(number + 1) && place.map == barrier.barrier.slotMap)
        }
        try second.send(batch, expecting: "before")
        for _ in 0..<3 { stems.append(try second.barrier().stem) }
        #expect(Set(stems).count == stems.count)
        #expect(
            try RouterHarness.read(directory).barriers.map(\.barrier.window) == [0, 1, 2, 3, 4, 5]
        )
    }

    /// Returns the barriers in a worker's share from `from` to the log's end, each with the LSN of its end.
    private func barriers(
        for worker: WorkerName,
        from: LSN,
        to end: LSN,
        _ recovery: RouterRecovery
    ) throws -> [(barrier: BarrierPayload, end: LSN)] {
        let reader = CatchUpReader(
            worker: worker,
            salt: RouterHarness.salt,
            from: from,
            damaged: recovery.damaged,
            pool: SharePool()
        )
        var found: [(barrier: BarrierPayload, end: LSN)] = []
        while reader.position < end {
            let step = try reader.step(from: reader.position, limit: end, maps: recovery.maps)
            try ShareRecord.forEach(in: step.payload.buffer.bytes) { record in
                guard record.type == .barrier else { return }
                let stride = LogRecord.stride(payloadBytes: record.body.count)
                found.append(
                    (try BarrierPayload(decoding: record.body), record.lsn + LSN(stride))
                )
            }
        }
        return found
    }

    /// All records were removed, and the file that the last start had begun at the log's end was not. What the log had
    /// counted is known from the note beside it, and workers that have applied nothing begin anew.
    @Test func totalsAndWindowsAreKnownWithoutAnyRecord() throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let map = SlotMap(workers: [.cpu: 2])
        let first = try RouterHarness(directory, workers: [.cpu: 2])
        do {
            defer { first.end() }
            _ = try first.send(TestBatch.bytes(events: 2))
            _ = try first.barrier()
        }
        let whole = try RouterHarness.read(directory)
        let second = try RouterHarness(directory)
        let state = second.recovery.state
        second.end()
        try directory.asWorkingDirectory {
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            var note = RawBuffer()
            state.encodeEnd(into: &note)
            do {
                var file = try LogEndFile(salt: RouterHarness.salt)
                try file.note(whole.end, whole.counts, state: note.bytes)
            }
            let log = LogDirectory(path: ClusterPaths.log)
            for base in try log.bases() where base < whole.end {
                try FileSystem.remove(log.file(base: base))
            }
            #expect(try log.bases() == [whole.end])
            func start(_ checkpoint: LSN) throws -> RouterRecovery {
                try RouterRecovery.start(
                    salt: RouterHarness.salt,
                    fresh: RouterState(slotMap: SlotMap(workers: [:])),
                    positions: { _ in
                        Dictionary(uniqueKeysWithValues: map.allWorkers.map { ($0, checkpoint) })
                    },
                    logger: logger
                )
            }
            let recovered = try start(whole.end)
            #expect(recovered.state.window == 1 && recovered.state.slotMap == map)
            #expect(recovered.log.counts == whole.counts && recovered.unreported.isEmpty)
            #expect(throws: RouterLost.self) { _ = try start(0) }
            try FileSystem.rename(ClusterPaths.logLoss, to: ClusterPaths.acceptedLogLoss)
            let lost = try start(0)
            #expect(lost.unreported == [DamagePayload(range: 0..<whole.end, events: 2)])
            for worker in map.allWorkers {
                #expect(try CheckpointPosition.read(of: worker) == whole.end)
            }
        }
    }

    /// The disk has lost all batches and the barrier, or all but the first batch; the note beside the log knows of
    /// all of them.
    @Test(arguments: [false, true]) func aLogThatLostItsEndGoesOnBehindAllThatWasGiven(
        isEmpty: Bool
    ) throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let first = try RouterHarness(directory, workers: [.cpu: 2])
        do {
            defer { first.end() }
            _ = try first.send(TestBatch.bytes(events: 2))
        }
        let kept = try RouterHarness.read(directory)
        let second = try RouterHarness(directory)
        do {
            defer { second.end() }
            _ = try second.send(TestBatch.bytes(events: 3))
            _ = try second.barrier(SlotMap(workers: [.cpu: 2]).rescaled(.cpu, to: 1))
            _ = try second.send(TestBatch.bytes(events: 4))
        }
        let whole = try RouterHarness.read(directory)
        #expect(whole.counts.acceptedTotal == 9)
        try directory.asWorkingDirectory {
            let log = LogDirectory(path: ClusterPaths.log)
            func recover() throws -> RouterRecovery {
                try RouterRecovery.run(
                    salt: RouterHarness.salt,
                    fresh: RouterState(slotMap: SlotMap(workers: [:])),
                    logger: logger
                )
            }
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            var state = RawBuffer()
            try recover().state.encodeEnd(into: &state)
            do {
                var file = try LogEndFile(salt: RouterHarness.salt)
                try file.note(whole.end, whole.counts, state: state.bytes)
            }
            for base in try log.bases() where isEmpty || base > 0 {
                try FileSystem.remove(log.file(base: base))
            }
            let end = isEmpty ? 0 : kept.end
            var recovered = try recover()
            #expect(recovered.log.end == end)
            let noted = try #require(LogEnd.read(salt: RouterHarness.salt))
            let loss = try #require(
                LogLoss.find(
                    end: end,
                    isEmpty: isEmpty,
                    cut: recovered.log.cut,
                    evidence: .gather(noted: noted, end: end)
                )
            )
            #expect(loss.range == end..<(whole.end + 7) & ~7)
            // Only an accepted loss passes.
            #expect(throws: RouterLost.self) { try LogLoss.requireAcceptance(of: [loss]) }
            let other = LogLoss(range: end..<loss.range.upperBound + 8, reason: "")
            #expect(throws: RouterLost.self) { try LogLoss.requireAcceptance(of: [loss, other]) }
            #expect(throws: RouterLost.self) { try LogLoss.requireAcceptance(of: [other]) }
            try FileSystem.rename(ClusterPaths.logLoss, to: ClusterPaths.acceptedLogLoss)
            #expect(throws: RouterLost.self) { try LogLoss.requireAcceptance(of: [loss]) }
            try FileSystem.rename(ClusterPaths.logLoss, to: ClusterPaths.acceptedLogLoss)
            try LogLoss.requireAcceptance(of: [loss])

            // All records have been applied.
            var checkpoints: [WorkerName: LSN?] = [:]
            for worker in SlotMap(workers: [.cpu: 2]).allWorkers { checkpoints[worker] = whole.end }
            try recovered.goOn(behind: loss, noted: noted, checkpoints: checkpoints, logger: logger)
            #expect(recovered.state.window == 1 && recovered.log.counts == whole.counts)
            let narrower = SlotMap(workers: [.cpu: 2]).rescaled(.cpu, to: 1)
            #expect(recovered.state.slotMap == narrower)
            #expect(recovered.damaged == [loss.range])
            #expect(recovered.unreported == [DamagePayload(range: loss.range, events: 0)])
            #expect(recovered.logFaults.first { $0.kind == .logDamaged }?.count == 1)

            var writer = try LogWriter(
                directory: log,
                salt: RouterHarness.salt,
                recovery: recovered.log
            )
            #expect(writer.begin == (isEmpty ? loss.range.upperBound : 0))
            var group = LogGroup()
            var body = RawBuffer()
            recovered.unreported[0].encode(into: &body)
            group.append(.damage, arrival: 1, bodyBytes: body.count).copyMemory(
                from: UnsafeRawPointer(body.base),
                byteCount: body.count
            )
            let counts = writer.counts
            let head = recovered.state
            try writer.commit(
                &group,
                countsAt: { _ in counts },
                head: { head.encodeHead(into: &$0) }
            )
            writer.close()
            // The next start also leads workers over the range, and does not report it again.
            let next = try recover()
            #expect(next.unreported.isEmpty && next.damaged == [loss.range])
            #expect(next.logFaults.allSatisfy { $0.count == 0 })
            #expect(next.log.end == writer.end && next.log.counts == whole.counts)
            #expect(next.state.window == 1 && next.maps.current == recovered.maps.current)
            // Workers that had not passed the lost barrier are sent it where it stood; others are not.
            let lost = try #require(whole.barriers.last)
            let worker = WorkerName(resource: .cpu, index: 0)
            for recovery in [recovered, next] {
                let sent = try barriers(for: worker, from: end, to: next.log.end, recovery)
                #expect(sent.map(\.end) == [lost.end])
                #expect(sent.map(\.barrier.window) == [lost.barrier.window])
                #expect(sent.map(\.barrier.stem) == [lost.barrier.stem])
                #expect(sent.map(\.barrier.slotMap) == [narrower])
                let none = try barriers(for: worker, from: lost.end, to: next.log.end, recovery)
                #expect(none.isEmpty)
            }
        }
    }

    /// What recovery finds is counted by the start that found it.
    @Test func aTornEndIsCounted() throws {
        func counts(_ router: RouterHarness) -> [String: MetricValue] {
            let errors = router.context.ownSamples(head: 0).filter { $0.family == .errorsTotal }
            return Dictionary(uniqueKeysWithValues: errors.map { ($0.labels[0], $0.value) })
        }
        let first = try RouterHarness(directory)
        do {
            defer { first.end() }
            #expect(counts(first) == ["log_damaged": .counter(0), "log_tail_cut": .counter(0)])
            for sequence in 1...2 {
                _ = try first.send(
                    TestBatch.bytes(events: 9, client: "c", sequence: UInt64(sequence))
                )
            }
        }
        let log = LogDirectory(path: "\(directory.path)/\(ClusterPaths.log)")
        let end = try RouterHarness.read(directory).end
        try File(log.file(base: 0), .readWrite).truncate(to: Int(end) - 20)
        let second = try RouterHarness(directory)
        defer { second.end() }
        #expect(counts(second) == ["log_damaged": .counter(0), "log_tail_cut": .counter(1)])
    }

    /// After log files are trimmed, the head of the oldest remaining file has all the state.
    @Test func trimmingForgetsNothingThatIsNeeded() throws {
        let wider = SlotMap(workers: [:]).rescaled(.function, to: 5)
        let batch = TestBatch.bytes(events: 2, client: "c", sequence: 9)
        let first = try RouterHarness(directory)
        var last: BarrierPayload?
        do {
            defer { first.end() }
            _ = try first.send(batch)
            _ = try first.barrier(wider)
            last = try first.barrier()
            let end = try RouterHarness.read(directory).end
            for _ in 0..<3 { _ = try first.send(TestBatch.padding(Limits.logFileBytes / 2)) }
            first.inbox.trimmableLSN = end + LSN(Limits.logFileBytes)
            // The commit after which files are trimmed.
            _ = try first.send(TestBatch.bytes(events: 1))
            _ = try first.send(TestBatch.bytes(events: 1))
            #expect(first.context.logBegin > end)
        }
        let found = try RouterHarness.read(directory)
        #expect(found.begin > 0 && found.barriers.isEmpty)
        let second = try RouterHarness(directory)
        defer { second.end() }
        let state = second.recovery.state
        #expect(state.window == 2 && state.slotMap == wider)
        #expect(state.windowBegin > 0 && state.windowBegin < found.begin)
        #expect(second.recovery.log.counts.acceptedTotal == 4)
        try second.send(batch, expecting: "before")
        let next = try second.barrier()
        #expect(next.window == 2 && next.stem != last?.stem && next.slotMap == wider)
    }
}
