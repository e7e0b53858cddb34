import TraceMetrics
import TraceModel

/// Histograms of the sizes and durations of batch shares. They do not follow from the log, so they are not part of
/// the state.
struct BatchTiming {
    private var sizes = [UInt64](repeating: 0, count: MetricBounds.batchEvents.count + 1)
    private var sizeSum = 0.0
    private var seconds = [UInt64](repeating: 0, count: MetricBounds.latencySeconds.count + 1)
    private var secondsSum = 0.0

    mutating func record(events: Int, nanoseconds: Int64) {
        let size = Double(events)
        let duration = Double(nanoseconds) / 1e9
        sizes[MetricBounds.batchEvents.firstIndex { size <= $0 } ?? sizes.count - 1] += 1
        sizeSum += size
        seconds[MetricBounds.latencySeconds.firstIndex { duration <= $0 } ?? seconds.count - 1] += 1
        secondsSum += duration
    }

    func samples(of worker: WorkerName) -> [MetricSample] {
        [
            MetricSample(
                family: .workerAppliedEventsTotal,
                labels: ["\(worker)"],
                value: .counter(sizeSum)
            ),
            MetricSample(
                family: .workerBusySecondsTotal,
                labels: ["\(worker)"],
                value: .counter(secondsSum)
            ),
            MetricSample(
                family: .batchEvents,
                labels: [worker.resource.name],
                value: .histogram(buckets: sizes, sum: sizeSum)
            ),
            MetricSample(
                family: .batchProcessingSeconds,
                labels: [worker.resource.name],
                value: .histogram(buckets: seconds, sum: secondsSum)
            ),
        ]
    }
}
