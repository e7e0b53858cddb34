import TraceMetrics
import TraceModel

/// What the aggregator has to say of itself: cumulative since it started.
struct MergeCounts {
    private struct Count {
        var merges = 0.0
        var files = 0.0
        var bytes = 0.0
        var seconds = 0.0
        var buckets = [UInt64](repeating: 0, count: MetricBounds.mergeSeconds.count + 1)
    }

    private var counts: [Resource: Count] = [:]

    mutating func merged(_ resource: Resource, files: Int, bytes: UInt64, seconds: Double) {
        var count = counts[resource] ?? Count()
        count.merges += 1
        count.files += Double(files)
        count.bytes += Double(bytes)
        count.seconds += seconds
        let bucket = MetricBounds.mergeSeconds.firstIndex { seconds <= $0 }
        count.buckets[bucket ?? MetricBounds.mergeSeconds.count] += 1
        counts[resource] = count
    }

    func samples() -> [MetricSample] {
        var samples = [
            MetricSample(family: .buildInfo, labels: [BuildInfo.version], value: .gauge(1))
        ]
        for (resource, count) in counts {
            let values: [(MetricFamily, MetricValue)] = [
                (.mergesTotal, .counter(count.merges)),
                (.finalFilesTotal, .counter(count.files)),
                (.mergeBytesTotal, .counter(count.bytes)),
                (.mergeSeconds, .histogram(buckets: count.buckets, sum: count.seconds)),
            ]
            for (family, value) in values {
                samples.append(MetricSample(family: family, labels: [resource.name], value: value))
            }
        }
        return samples
    }
}
