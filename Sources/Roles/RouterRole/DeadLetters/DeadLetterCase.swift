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
