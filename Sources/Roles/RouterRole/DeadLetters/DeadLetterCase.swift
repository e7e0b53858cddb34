import IngestLog
import TraceModel

/// Events of one worker that are to be set aside.
struct DeadLetterCase: Sendable {
    enum Ground: Sendable {
        /// The worker says that the record at this LSN has ended it too often.
        case crash(LSN, reason: String)
        /// An operator wants everything left out from the worker's checkpoint up to this LSN; `renewal` is for a
        /// worker that can't go on from there.
        case skip(to: LSN, renewal: WorkerRenewal)
    }

    /// What came of it.
    struct Outcome: Sendable {
        /// nil: there was nothing to set aside.
        let verdict: VerdictPayload?
        /// Up to where the worker is past.
        let end: LSN
        /// What else there is to say, in words.
        var note = ""
    }

    let worker: WorkerName
    let ground: Ground
    /// What holds for the log as far as it is durable.
    let maps: SlotMapHistory
    let verdicts: Verdicts
    /// Called once, on some thread of the router's.
    let answer: @Sendable (Result<Outcome, TraceError>) -> Void
}

/// How a worker that can't go on from what it has saved begins anew: without state, from where the first window
/// begins that is not published, its events up to some position left out.
struct WorkerRenewal: Sendable {
    /// Where the first window begins that the aggregator has not published; the log's begin where that lies behind
    /// it. nil: the aggregator has not said.
    let begin: LSN?
    /// The log no longer holds all of that window.
    let isCutOff: Bool
    /// Up to where the aggregator has counted the worker's events as written; nil: not known.
    let counted: LSN?

    /// Both positions, where the worker may begin anew with its events left out up to `end`.
    /// - Throws: `TraceError` where something is not known, or events are counted as written beyond `end`.
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
