import ClusterMessages
import TraceModel

@testable import AggregatorRole

/// A ledger in a class, because expectations cannot call mutating functions of a struct.
final class LedgerBench {
    private var ledger: WindowLedger

    init(marks: [Resource: MergedMark] = [:], isLost: Bool = false) {
        ledger = WindowLedger(marks: marks, isLost: isLost)
    }

    var marks: [Resource: MergedMark] { ledger.marks }

    func announce(_ segments: SegmentsClosed) -> WindowLedger.Answer { ledger.announce(segments) }

    func nextJob(except blocked: Set<Resource> = []) -> MergeJob? {
        ledger.nextJob(except: blocked)
    }

    func finish(_ job: MergeJob, files: [String]) { ledger.finish(job, files: files) }

    func giveBack(_ job: MergeJob) { ledger.giveBack(job) }

    func obstacle(of resource: Resource) -> SlotCoverage? {
        ledger.obstacle(of: resource)?.coverage
    }
}
