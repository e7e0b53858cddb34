import Synchronization
import TraceMetrics
import TraceModel

/// State that the fabric thread changes and the pages show. A single lock makes each page a consistent snapshot.
final class SharedState: Sendable {
    /// The state that the lock protects.
    struct Content: Sendable {
        var store: MetricStore
        var marks: [Resource: MergedMark]
        /// Nil if the cluster has no console.
        var console: ConsoleState?
        /// Nil if the cluster has no HAProxy.
        var edge: EdgeState?
        var merging = MergeState()
        /// Nil if there is no object store.
        var uploads: UploadState?
        /// The latest `WorkerSkew.ratios`.
        var skew: [WorkerName: Double] = [:]
        var findings = LiveFindings()
        /// Messages that the store applied since it was last saved.
        var journal = MetricJournal()
        /// Number of times that a process was found silent, or the console in another state. A page built before the latest one is out of date.
        var silences = 0

        /// Returns a snapshot for the pages, including the histograms that currently have the highest counts.
        mutating func reading() -> MetricReading {
            if store.chooseHistograms() { journal.appendChoice() }
            return store.reading()
        }

        /// Counts a loss of the aggregator's own.
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
