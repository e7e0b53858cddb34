import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests what a worker reads from the log after some of its events were dead-lettered.
@Suite struct VerdictShareTests {
    private let worker = WorkerName(resource: .function, index: 0)

    private func read(
        _ worker: WorkerName,
        _ log: borrowing RoutingLog,
        _ verdicts: Verdicts
    ) throws -> [LSN] {
        let reader = CatchUpReader(
            worker: worker,
            salt: RoutingLog.salt,
            from: 0,
            damaged: [],
            pool: SharePool()
        )
        var found: [LSN] = []
        while reader.position < log.end {
            let step = try reader.step(
                from: reader.position,
                limit: log.end,
                maps: log.maps,
                verdicts: verdicts
            )
            try ShareRecord.forEach(in: step.payload.buffer.bytes) { record in
                if record.type == .batch { found.append(record.lsn) }
            }
        }
        return found
    }

    @Test func itsEventsAreLeftOutAndOnlyThose() throws {
        let directory = try TemporaryDirectory()
        try directory.asWorkingDirectory {
            var log = try RoutingLog(map: SlotMap(workers: [:]))
            defer { log.close() }
            for _ in 0..<5 {
                try log.commit(
                    [TestBatch.bytes([(.function, 1), (.cpu, 2)])],
                    newMap: nil,
                    tick: true
                )
            }
            let all = try read(worker, log, Verdicts())
            #expect(all.count == 5)
            var verdicts = Verdicts()
            verdicts.insert(all[1]..<all[1] + 1, of: worker)
            verdicts.insert(all[3]..<all[4], of: worker)
            #expect(try read(worker, log, verdicts) == [all[0], all[2], all[4]])
            #expect(try read(WorkerName(resource: .cpu, index: 0), log, verdicts) == all)
            #expect(verdicts.firstOpen(for: worker, from: all[1]) == all[1] + 1)
            #expect(verdicts.firstOpen(for: worker, from: all[3] + 8) == all[4])
            #expect(verdicts.firstOpen(for: worker, from: all[0]) == all[0])
        }
    }
}
