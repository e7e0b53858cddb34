import ClusterMessages
import Glibc
import SystemIO
import Testing
import TraceModel

@testable import WorkerRole

/// Tests which ends of a worker count against a record.
@Suite struct RecordDeathsTests {
    @Test func threeOwnEndsAtOneRecordMakeAClaim() {
        var deaths = RecordDeaths()
        for (number, cause) in [.signal(SIGSEGV), .hung, .failed].enumerated()
            as EnumeratedSequence<[CrashCell.Cause]>
        {
            #expect(deaths.claim == nil)
            deaths.ended(at: 640, by: cause, checkpoint: 128)
            #expect(deaths.count == number + 1)
        }
        #expect(deaths.claim?.lsn == 640)
        #expect(deaths.claim?.reason.contains("3 times") == true)
        // The claim stays, whatever ends the worker, until the checkpoint is behind the record.
        deaths.ended(at: nil, by: nil, checkpoint: 640)
        #expect(deaths.claim?.lsn == 640)
        deaths.ended(at: nil, by: nil, checkpoint: 648)
        #expect(deaths.claim == nil && deaths.count == 0)
    }

    @Test func killsAndEndsElsewhereCountForNothing() {
        var deaths = RecordDeaths()
        for _ in 0..<5 { deaths.ended(at: 640, by: nil, checkpoint: 0) }
        for _ in 0..<5 { deaths.ended(at: nil, by: .signal(SIGABRT), checkpoint: 0) }
        #expect(deaths.count == 0)
        deaths.ended(at: 640, by: .hung, checkpoint: 0)
        deaths.ended(at: 640, by: nil, checkpoint: 0)
        deaths.ended(at: 640, by: .hung, checkpoint: 0)
        #expect(deaths.count == 2)
    }

    @Test func anotherRecordBeginsAnew() {
        var deaths = RecordDeaths(lsn: 640, count: 2)
        deaths.ended(at: 1_280, by: .hung, checkpoint: 0)
        #expect(deaths.count == 1 && deaths.lsn == 1_280)
        deaths.ended(at: 640, by: .hung, checkpoint: 0)
        #expect(deaths.count == 1 && deaths.lsn == 640)
    }
}
