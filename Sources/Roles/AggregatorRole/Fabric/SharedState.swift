import Synchronization
import TraceMetrics
import TraceModel

/// What the fabric thread changes and the pages show. One lock, so that a page is of one moment.
final class SharedState: Sendable {
    struct Content: Sendable {
        var store: MetricStore
        var marks: [Resource: MergedMark]
        var merging = MergeState()
        /// As `WorkerSkew.ratios`.
        var skew: [WorkerName: Double] = [:]
        /// What the store took in since it was saved.
        var journal = MetricJournal()
        /// How often a process was found silent. A page of before shows it as well.
        var silences = 0

        /// What is to be shown, with the histograms that have counted most by now.
        mutating func reading() -> MetricReading {
            if store.chooseHistograms() { journal.appendChoice() }
            return store.reading()
        }

        /// Counts something that the aggregator lost.
        mutating func count(_ loss: LossKind) {
            store.count(loss)
            journal.append(loss, 1)
        }
    }

    private let content: Mutex<Content>

    init(_ content: Content) { self.content = Mutex(content) }

    func withLock<Result, Failure: Error>(
        _ body: (inout sending Content) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result { try content.withLock(body) }
}
