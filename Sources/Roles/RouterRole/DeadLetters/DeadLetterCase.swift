import IngestLog
import TraceModel

/// A worker's events that are to be set aside.
struct DeadLetterCase: Sendable {
    /// The reason for setting events aside.
    enum Ground: Sendable {
        /// The worker reports that the record at this LSN has ended it too often.
        case crash(LSN, reason: String)
        /// An operator wants to skip everything from the worker's checkpoint up to this LSN; `renewal` is for a worker
        /// that cannot continue from its checkpoint.
        case skip(to: LSN, renewal: WorkerRenewal)
    }

    /// The result of a case.
    struct Outcome: Sendable {
        /// The verdict in the log; nil if there was nothing to set aside.
        let verdict: VerdictPayload?
        /// The LSN up to which the worker's events are set aside, applied, or skipped by an earlier verdict.
        let end: LSN
        /// Further information for the operator, in words.
        var note = ""
    }

    let worker: WorkerName
    let ground: Ground
    /// The slot maps and verdicts of the log as far as it is durable.
    let maps: SlotMapHistory
    let verdicts: Verdicts
    /// Called once, on any thread of the router.
    let answer: @Sendable (Result<Outcome, TraceError>) -> Void
}

/// How a worker that cannot continue from its saved state starts anew: without state, from the start of the first
/// unpublished window, with its events up to some LSN skipped.
struct WorkerRenewal: Sendable {
    /// Start of the first window that the aggregator has not published, or the log's start if that is later; nil if the
    /// aggregator has not reported it.
    let begin: LSN?
    /// Whether the log no longer contains the whole window.
    let isCutOff: Bool
    /// The LSN up to which the aggregator has counted the worker's events as written; nil if unknown.
    let counted: LSN?

    /// Returns both LSNs if the worker may start anew with its events skipped up to `end`.
    /// - Throws: `TraceError` if one of them is unknown, or events above `end` are counted as written.
    func positions(of worker: WorkerName, end: LSN) throws(TraceError) -> (begin: LSN, counted: LSN)
    {
        guard let begin, let counted else {
            throw TraceError(
                .unreachable,
                "What \(worker) has saved is of no use, and what is published of it only the aggregator"
                    + " knows, which is not heard from",
                remedy: "Skip again once the aggregator is up"
            )
        }
        guard counted <= end else {
            throw TraceError(
                .invalidArgument,
                "\(worker) had come to LSN \(counted), not to \(end)",
                remedy: "Skip to there or further"
            )
        }
        return (begin, counted)
    }
}
