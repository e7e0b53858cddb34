import GRPCServices
import GRPCTransport
import IngestLog
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
            [0, 499, 500, 900, 500, 400, 700].map { gate.passesHalf(logBytes: $0) }
                == [false, false, true, false, false, false, true]
        )
    }

    /// Two windows: the open one and the one before it; older ones are merged.
    @Test func theDiskKeepsRoomForTwoWindowsAndTheCheckpoints() {
        var gate = AdmissionGate(logBudgetBytes: .max)
        let reserve = Limits.checkpointReserveBytes
        #expect(gate.obstacle(logBytes: 0, freeBytes: reserve - 1) == .diskSpace)
        #expect(gate.obstacle(logBytes: 0, freeBytes: reserve) == nil)
        gate.logged(bytes: 100)
        gate.windowClosed()
        gate.logged(bytes: 10)
        #expect(gate.freeBytesMin == reserve + 110 * Limits.outputBytesPerWireByteMax)
        gate.windowClosed()
        gate.windowClosed()
        #expect(gate.freeBytesMin == reserve)
    }

    /// What is refused is counted; barriers go into the log all the same, and trimming helps at once.
    @Test func atItsBudgetTheLogTakesNoBatchUntilItIsTrimmed() throws {
        let directory = try TemporaryDirectory()
        let router = try RouterHarness(directory, logBudgetBytes: Limits.logFileBytes * 5 / 4)
        defer { router.end() }
        router.context.slowest = (WorkerName(resource: .io, index: 1), 8)
        // One a log file.
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
        // Half of the budget was passed once: that ended a window too.
        let found = try RouterHarness.read(directory)
        #expect(found.barriers.map(\.barrier.reason) == [.size, .command])
        router.inbox.trimmableLSN = found.end
        _ = try router.send(TestBatch.bytes(events: 2))
        #expect(router.context.obstacle == nil)
        _ = try router.barrier()
        let counts = try RouterHarness.read(directory).counts
        #expect(counts.acceptedTotal == 2 && counts.rejected == 7)
    }
}
