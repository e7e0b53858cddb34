import Synchronization
import TraceMetrics
import TraceModel

/// Refused batches by reason, for `trace_batches_refused_total`.
final class RefusalCounts: Sendable {
    private let counts = Mutex<[String: UInt64]>([:])

    func count(_ reason: String) {
        counts.withLock { $0[reason, default: 0] += 1 }
    }

    func samples() -> [MetricSample] {
        counts.withLock { counts in
            counts.sorted { $0.key < $1.key }.map { reason, count in
                MetricSample(
                    family: .batchesRefusedTotal,
                    labels: [reason],
                    value: .counter(Double(count))
                )
            }
        }
    }
}
