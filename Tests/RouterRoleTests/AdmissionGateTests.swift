import GRPCServices
import GRPCTransport
import Glibc
import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceMetrics
import TraceModel

@testable import RouterRole

@Suite(.serialized) struct AdmissionGateTests {
    @Test func theLogStopsAtItsBudgetAndWarnsOnceAtHalf() {
        var gate = AdmissionGate(logBudgetBytes: 1_000)
        #expect(gate.obstacle(logBytes: 999, freeBytes: .max) == nil)
        #expect(gate.obstacle(logBytes: 1_000, freeBytes: .max) == .logBudget)
        #expect(
            [0, 499, 500, 900, 500, 400, 700].map { gate.passesHalf(logBytes: $0) } == [
                false, false, true, false, false, false, true,
            ]
        )
    }

    private static let reserve = Limits.checkpointReserveBytes + Limits.logFileBytes

    /// Returns the sizes of a group with one batch of events of a resource.
    private func group(_ resource: Resource, events: Int, bytes: Int) -> BatchSizes {
        let group = CommitGroup()
        var entry = CommitGroup.Entry()
        entry.accepted[Int(resource.rawValue)] = UInt32(events)
        entry.wireBytes[Int(resource.rawValue)] = bytes
        group.entries = [entry]
        return BatchSizes(group)
    }

    @Test func anEmptyLogNeedsItsNextFileAndTheCheckpoints() {
        let gate = AdmissionGate(logBudgetBytes: .max)
        #expect(gate.obstacle(logBytes: 0, freeBytes: Self.reserve - 1) == .diskSpace)
        #expect(gate.obstacle(logBytes: 0, freeBytes: Self.reserve) == nil)
        let batch = group(.io, events: 1, bytes: 100)
        let most = 600 + Limits.outputBytesPerEvent(.io)
        #expect(gate.freeBytesMin(adding: batch) == Self.reserve + 2 * most)
    }

    /// Unapplied events reserve space for the largest rows they may become and for the merge of those rows. For
    /// applied events the workers' reports count. Only the resource with the largest merge counts, because one
    /// window is merged at a time.
    @Test func theDiskKeepsRoomForWhatIsToComeAndOneMerge() {
        var gate = AdmissionGate(logBudgetBytes: .max)
        func need(applied: LSN, merge: [Resource: Int]) -> Int {
            var reports = OutputReports()
            reports.appliedLSN = InlineArray(repeating: applied)
            for (resource, bytes) in merge { reports.mergeBytes[Int(resource.rawValue)] = bytes }
            gate.reported(reports)
            return gate.freeBytesMin() - Self.reserve
        }
        gate.logged(group(.cpu, events: 10, bytes: 1_000), end: 5_000)
        gate.logged(group(.io, events: 10, bytes: 2_000), end: 10_000)
        let cpu = 6_000 + 10 * Limits.outputBytesPerEvent(.cpu)
        let io = 12_000 + 10 * Limits.outputBytesPerEvent(.io)
        #expect(need(applied: 0, merge: [:]) == cpu + io + io + 8_000)
        #expect(need(applied: 10_000, merge: [:]) == 8_000)
        #expect(need(applied: 10_000, merge: [.io: 12_800, .cpu: 6_400]) == 12_800)
        gate.windowClosed()
        #expect(need(applied: 10_000, merge: [:]) == 0)
        #expect(need(applied: 10_000, merge: [.gpu: 77]) == 77)
    }

    /// Until a rebuild has written what it will, or its directory is removed, other rows leave it that space.
    @Test func theDiskKeepsRoomForRebuilds() throws {
        let directory = try TemporaryDirectory()
        try directory.asWorkingDirectory {
            #expect(RebuildReserve.missingBytes() == 0)
            let cpu = WorkerWindow(worker: WorkerName(resource: .cpu, index: 0), window: 7)
            let gpu = WorkerWindow(worker: WorkerName(resource: .gpu, index: 1), window: 7)
            for window in [cpu, gpu] {
                let segments = ClusterPaths.segments(of: window.worker)
                try FileSystem.createDirectory("\(ClusterPaths.rebuild(of: window))/\(segments)")
            }
            // Of one without a note nothing is known.
            #expect(RebuildReserve.missingBytes() == 0)
            try RebuildReserve.note(5_000, for: cpu)
            try RebuildReserve.note(300, for: gpu)
            #expect(RebuildReserve.missingBytes() == 5_300)
            let segments = ClusterPaths.segments(of: cpu.worker)
            let directory = "\(ClusterPaths.rebuild(of: cpu))/\(segments)"
            for (name, size) in [("a.csv", 1_000), ("a.json", 2_000)] {
                try File("\(directory)/\(name)", .replace).truncate(to: size)
            }
            #expect(RebuildReserve.missingBytes() == 2_300)
            try File("\(directory)/a.csv", .readWrite).truncate(to: 9_000)
            #expect(RebuildReserve.missingBytes() == 300)
            try FileSystem.createDirectory(ClusterPaths.log)
            try FileSystem.createDirectory(ClusterPaths.output)
            var space = FreeSpace()
            #expect(space.least().rebuildBytes == 300)
        }
        var gate = AdmissionGate(logBudgetBytes: .max)
        gate.rebuilds(2_300)
        #expect(gate.obstacle(logBytes: 0, freeBytes: Self.reserve + 2_299) == .diskSpace)
        #expect(gate.obstacle(logBytes: 0, freeBytes: Self.reserve + 2_300) == nil)
    }

    /// A merge of the largest possible rows fits into the reserved space.
    @Test func escapedTextsFit() {
        var gate = AdmissionGate(logBudgetBytes: .max)
        let bytes = 1 << 20
        gate.logged(group(.function, events: bytes / 4_096, bytes: bytes), end: LSN(bytes))
        // Half of the bytes are escaped, in trace and table; the segments and the merged files exist at once.
        let written = bytes * 3
        #expect(gate.freeBytesMin() - Self.reserve >= 2 * written)
    }

    @Test func aRouterThatStartsGoesOnWithWhatTheLogHolds() {
        var window = OpenWindow()
        var pending = PendingOutput()
        var bytes: InlineArray<6, Int> = InlineArray(repeating: 0)
        bytes[0] = 1_000
        window.add(events: bytes, wireBytes: bytes, isLastBatch: false, arrival: 1)
        pending.logged(bytes, end: 9_000)
        let gate = AdmissionGate(logBudgetBytes: .max, window: window, pending: pending)
        #expect(
            gate.freeBytesMin() - Self.reserve == 1_000 + 1_000 + 4_000 + Limits.repeatedBytesMin
        )
    }

    /// Refused batches are counted. Barriers are still logged, and trimming makes room immediately.
    @Test func atItsBudgetTheLogTakesNoBatchUntilItIsTrimmed() throws {
        let directory = try TemporaryDirectory()
        let router = try RouterHarness(directory, logBudgetBytes: Limits.logFileBytes * 5 / 4)
        defer { router.end() }
        router.context.slowest = (WorkerName(resource: .io, index: 1), 8)
        // One batch per log file.
        for _ in 0..<3 { _ = try router.send(TestBatch.padding(Limits.logFileBytes / 2)) }
        do {
            let answer = try router.send(TestBatch.bytes(events: 7))
            Issue.record("taken: \(answer.message)")
        } catch let error as GRPCCallError {
            #expect(error.status == .resourceExhausted)
            #expect("\(error)".contains("io.1") && "\(error)".contains("tracectl skip io.1 --to "))
        }
        #expect(router.context.obstacle == .logBudget)
        let refusals = router.context.refusals.samples()
        #expect(refusals.first { $0.labels == ["log_budget"] }?.value == .counter(1))
        _ = try router.barrier()
        // Half of the budget was exceeded once, which also ended a window.
        let found = try RouterHarness.read(directory)
        #expect(found.barriers.map(\.barrier.reason) == [.size, .command])
        router.inbox.trimmableLSN = found.end
        _ = try router.send(TestBatch.bytes(events: 2))
        #expect(router.context.obstacle == nil)
        _ = try router.barrier()
        let counts = try RouterHarness.read(directory).counts
        #expect(counts.acceptedTotal == 2 && counts.rejected == 7)
    }

    /// Each call is held for 5 s from its own arrival, not for the rest of an earlier call's time.
    @Test func eachCallIsHeldForTheSameTime() throws {
        let directory = try TemporaryDirectory()
        let router = try RouterHarness(directory, logBudgetBytes: Limits.logFileBytes * 5 / 4)
        defer { router.end() }
        for _ in 0..<3 { _ = try router.send(TestBatch.padding(Limits.logFileBytes / 2)) }
        let held = Locked<[Double]>([])
        let calls = 6
        for number in 0..<calls {
            let sent = WallClock.monotonic()
            let path = TracerService.Method.sendTraceBatch.path
            let batch = TestBatch.bytes(events: 1, client: "c\(number)", sequence: 1)
            router.client.start(path, batch, timeoutSeconds: 60) { _ in
                let seconds = Double(WallClock.monotonic() - sent) / 1e9
                held.update { $0.append(seconds) }
            }
            // The calls must arrive at different times, so this pause is part of the test.
            usleep(1_200_000)
        }
        #expect(held.wait { $0.count == calls })
        let hold = Double(Limits.callHoldSeconds)
        #expect(held.current.allSatisfy { $0 >= hold - 0.2 && $0 < hold + 1 }, "\(held.current)")
        let refusals = router.context.refusals.samples()
        let refused = refusals.first { $0.labels == ["log_budget"] }
        #expect(refused?.value == .counter(Double(calls)))
    }
}
