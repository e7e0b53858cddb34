import ClusterMessages
import SystemIO
import TraceModel

/// Counts how often the worker has ended itself at the same record. A pure state machine over the crash data that its
/// processes leave behind.
struct RecordDeaths: Equatable {
    /// The record at which the worker ended itself last.
    private(set) var lsn: LSN
    private(set) var count: Int
    private(set) var cause: CrashCell.Cause?

    init(lsn: LSN = 0, count: Int = 0) {
        self.lsn = lsn
        self.count = count
    }

    /// Counts the end of the previous process, which was applying the record at `position` (nil: none) and ended by
    /// `end` (nil: killed from outside, or a normal end, neither of which counts). A count below the checkpoint is
    /// reset, because that record was applied in the end, or left out.
    mutating func ended(at position: LSN?, by end: CrashCell.Cause?, checkpoint: LSN) {
        if let position, let end {
            count = position == lsn ? count + 1 : 1
            lsn = position
            cause = end
        }
        if lsn < checkpoint {
            count = 0
            cause = nil
        }
    }

    /// The request to set the record aside, once the worker has ended there too often.
    var claim: WorkerHello.Claim? {
        guard count >= Limits.recordDeathsMax else { return nil }
        return WorkerHello.Claim(lsn: lsn, reason: "ended \(count) times here, \(how)")
    }

    private var how: String {
        switch cause {
        case .signal(let number): "last by signal \(number)"
        case .hung: "last by hanging"
        case .failed: "last by an error"
        case nil: "before this start"
        }
    }
}
