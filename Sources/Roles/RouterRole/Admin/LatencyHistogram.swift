import Synchronization
import TraceMetrics
import TraceModel

/// How long something takes, as a histogram that one thread writes and another reads.
final class LatencyHistogram: Sendable {
    private struct State {
        var buckets: [UInt64]
        var sum = 0.0
    }

    private let family: MetricFamily
    private let bounds: [Double]
    private let state: Mutex<State>

    init(_ family: MetricFamily) {
        self.family = family
        bounds = family.descriptor.bounds
        state = Mutex(State(buckets: [UInt64](repeating: 0, count: bounds.count + 1)))
    }

    func record(nanoseconds durations: some Sequence<Int64>) {
        state.withLock { state in
            for duration in durations {
                let seconds = Double(duration) / 1e9
                state.buckets[bounds.firstIndex { seconds <= $0 } ?? bounds.count] += 1
                state.sum += seconds
            }
        }
    }

    var sample: MetricSample {
        let now = state.withLock { $0 }
        return MetricSample(family: family, labels: [], value: .histogram(buckets: now.buckets, sum: now.sum))
    }
}
