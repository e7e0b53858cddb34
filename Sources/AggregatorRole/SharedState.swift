import Synchronization
import TraceMetrics
import TraceModel

/// What the fabric thread changes and the pages show. One lock, so that a page is of one moment.
final class SharedState: Sendable {
    struct Content: Sendable {
        var store: MetricStore
        var marks: [Resource: MergedMark]
    }

    private let content: Mutex<Content>

    init(_ content: Content) { self.content = Mutex(content) }

    func withLock<Result, Failure: Error>(
        _ body: (inout sending Content) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        try content.withLock(body)
    }
}
