import TestSupport
import Testing
import TraceModel
import ZeroMQ

@testable import RouterRole

/// Tests the credit of a worker and the checks of its messages.
@Suite struct WorkerSessionTests {
    private func session(resume: LSN, checkpoint: LSN = 0) throws -> WorkerSession {
        WorkerSession(
            worker: WorkerName(resource: .cpu, index: 0),
            peer: try #require(RoutingID("cpu.0.e1")),
            incarnation: 1,
            pid: 1,
            resume: resume,
            checkpoint: checkpoint
        )
    }

    /// Bytes in flight never exceed the credit, except for a single share that is larger.
    @Test(arguments: 0..<40 as Range<UInt64>) func theCreditIsNeverExceeded(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var session = try session(resume: 1_000)
        var outstanding: [(end: LSN, bytes: Int)] = []
        var head: LSN = 1_000
        for _ in 0..<2_000 {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1:
                let isLarge = Int.random(in: 0..<20, using: &generator) == 0
                let most = isLarge ? 3 * Limits.workerCreditBytes : Limits.workerCreditBytes / 4
                let bytes = Int.random(in: 1...most, using: &generator)
                let total = outstanding.reduce(0) { $0 + $1.bytes }
                let fits = total + bytes <= Limits.workerCreditBytes
                try #require(session.maySend(bytes: bytes) == (outstanding.isEmpty || fits))
                guard session.maySend(bytes: bytes) else { continue }
                head += LSN.random(in: 1...100, using: &generator)
                session.sent(upTo: head, bytes: bytes)
                outstanding.append((head, bytes))
                #expect(session.sentLSN == head)
            case 2:
                head += LSN.random(in: 0...100, using: &generator)
                session.skip(to: head)
            default:
                let applied = LSN.random(in: session.appliedLSN...head, using: &generator)
                let saved = LSN.random(in: session.checkpointLSN...applied, using: &generator)
                let isTrue = session.progressed(applied: applied, checkpoint: saved, head: head)
                #expect(isTrue)
                outstanding.removeAll { $0.end <= applied }
            }
            #expect(session.position == head)
        }
        let isTrue = session.progressed(applied: head, checkpoint: head, head: head)
        #expect(isTrue && session.maySend(bytes: .max))
    }

    /// After a restart of the router the worker may still receive shares of the previous session.
    @Test func whatAnOlderSessionSentCountsToo() throws {
        var session = try session(resume: 1_000)
        let isTrue = session.progressed(applied: 1_500, checkpoint: 1_000, head: 2_000)
        #expect(isTrue)
        #expect(session.position == 1_500 && session.appliedLSN == 1_500)
        // The next share begins where this session's last message ended, at or below the worker's position.
        #expect(session.sentLSN <= session.appliedLSN)
        session.sent(upTo: 2_000, bytes: 10)
        let isDone = session.progressed(applied: 2_000, checkpoint: 1_000, head: 2_000)
        #expect(isDone && session.maySend(bytes: .max))
    }

    @Test func whatCannotBeTrueChangesNothing() throws {
        var session = try session(resume: 1_000, checkpoint: 900)
        session.sent(upTo: 1_200, bytes: Limits.workerCreditBytes)
        for (applied, checkpoint) in [
            (LSN(2_001), LSN(1_000)), (999, 950), (1_100, 1_101), (1_100, 899),
        ] {
            let isTrue = session.progressed(applied: applied, checkpoint: checkpoint, head: 2_000)
            #expect(!isTrue, "applied \(applied), checkpoint \(checkpoint)")
        }
        #expect(session.appliedLSN == 1_000 && session.checkpointLSN == 900)
        #expect(session.position == 1_200 && !session.maySend(bytes: 1))
    }
}
