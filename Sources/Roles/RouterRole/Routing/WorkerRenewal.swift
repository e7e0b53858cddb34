import TraceModel

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
    func positions(of worker: WorkerName, end: LSN) throws(TraceError) -> (begin: LSN, counted: LSN) {
        guard let begin, let counted else {
            throw TraceError(
                .unreachable,
                "What \(worker) has saved is of no use, and what is published of it only the aggregator"
                    + " knows, which is not heard from", remedy: "Skip again once the aggregator is up")
        }
        guard counted <= end else {
            throw TraceError(
                .invalidArgument, "\(worker) had come to LSN \(counted), not to \(end)",
                remedy: "Skip to there or further")
        }
        return (begin, counted)
    }
}
