import Synchronization
import TraceMetrics
import TraceModel

/// Counts of a metric whose label is a reason. Any thread.
final class ReasonCounts: Sendable {
    private let family: MetricFamily
    private let counts = Mutex<[String: UInt64]>([:])

    init(_ family: MetricFamily) { self.family = family }

    func count(_ reason: String) { counts.withLock { $0[reason, default: 0] += 1 } }

    func samples() -> [MetricSample] {
        counts.withLock { counts in
            counts.sorted { $0.key < $1.key }.map { reason, count in
                MetricSample(family: family, labels: [reason], value: .counter(Double(count)))
            }
        }
    }
}
