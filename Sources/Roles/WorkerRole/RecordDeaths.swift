import ClusterMessages
import SystemIO
import TraceModel

/// Counts how often the worker has ended itself at one record. A pure state machine over what its processes
/// have left behind, one after another.
struct RecordDeaths: Equatable {
    /// Where the worker ended itself last.
    private(set) var lsn: LSN
    private(set) var count: Int
    private(set) var cause: CrashCell.Cause?

    init(lsn: LSN = 0, count: Int = 0) {
        self.lsn = lsn
        self.count = count
    }

    /// The process before this one ended while it applied the record at `position` (nil: none), by `end` (nil: killed from outside, or in order, which counts for nothing). What lies below the checkpoint is
    /// forgiven: the record has been applied after all, or left out.
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

    /// What the router is asked to set aside, once it has happened too often.
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
