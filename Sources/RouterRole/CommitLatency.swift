import Synchronization
import TraceMetrics
import TraceModel

/// How long commits take, as a histogram that one thread writes and another reads.
final class CommitLatency: Sendable {
    private struct State {
        var buckets: [UInt64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init() {
        bounds = MetricFamily.routerFsyncSeconds.descriptor.bounds
        state = Mutex(State(buckets: [UInt64](repeating: 0, count: bounds.count + 1)))
    }

    func record(nanoseconds: Int64) {
        let seconds = Double(nanoseconds) / 1e9
        let bucket = bounds.firstIndex { seconds <= $0 } ?? bounds.count
        state.withLock { state in
            state.buckets[bucket] += 1
            state.sum += seconds
        }
    }

    var sample: MetricSample {
        let now = state.withLock { $0 }
        return MetricSample(
            family: .routerFsyncSeconds,
            labels: [],
            value: .histogram(buckets: now.buckets, sum: now.sum)
        )
    }
}
