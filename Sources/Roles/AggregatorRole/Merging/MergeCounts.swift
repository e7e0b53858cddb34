import HTTPServing
import TraceFiles
import TraceMetrics
import TraceModel

/// The aggregator's own metrics. Counts are cumulative since its start.
struct MergeCounts {
    /// Counts of one resource.
    private struct Count {
        var merges = 0.0
        var files = 0.0
        var bytes = 0.0
        var segmentBytes = 0.0
        var lostRows = 0.0
        var rebuiltRows = 0.0
        var seconds = 0.0
        var buckets = [UInt64](repeating: 0, count: MetricBounds.mergeSeconds.count + 1)
    }

    private var counts: [Resource: Count] = [:]
    var retention = RetentionCounts()
    /// Nil if there is no object store.
    var uploads: UploadState?
    var http = HTTPCounts()
    var merging = MergeState()
    var skew: [WorkerName: Double] = [:]

    mutating func merged(_ outcome: MergeThread.Outcome, files: Int) {
        let resource = outcome.job.resource
        var count = counts[resource] ?? Count()
        count.merges += 1
        count.files += Double(files)
        count.bytes += Double(outcome.bytes)
        count.segmentBytes += Double(outcome.segmentBytes)
        count.lostRows += outcome.losses.reduce(0) { $0 + Double($1.rows) }
        for rebuilt in outcome.job.repair?.rebuilt ?? [] {
            count.rebuiltRows += Double(rebuilt.rows)
        }
        count.seconds += outcome.seconds
        let bucket = MetricBounds.mergeSeconds.firstIndex { outcome.seconds <= $0 }
        count.buckets[bucket ?? MetricBounds.mergeSeconds.count] += 1
        counts[resource] = count
    }

    func samples() -> [MetricSample] {
        var samples = [
            MetricSample(family: .buildInfo, labels: [BuildInfo.version], value: .gauge(1))
        ]
        let progress = merging.current?.progress ?? MergeProgress(bytesTotal: 0)
        let unlabelled: [(MetricFamily, MetricValue)] = [
            (.mergeCurrentBytes, .gauge(Double(progress.bytesTotal))),
            (.mergeCurrentMergedBytes, .gauge(Double(progress.bytesDone))),
            (.retentionWindows, .gauge(Double(retention.windowsKept))),
            (.retentionBytes, .gauge(Double(retention.bytesKept))),
            (.retentionFilesDeletedTotal, .counter(Double(retention.filesDeleted))),
            (.retentionBytesDeletedTotal, .counter(Double(retention.bytesDeleted))),
            (.httpAcceptErrorsTotal, .counter(Double(http.acceptErrors))),
        ]
        for (family, value) in unlabelled {
            samples.append(MetricSample(family: family, labels: [], value: value))
        }
        if let uploads {
            let values: [(MetricFamily, MetricValue)] = [
                (.objectStoreUploadedFilesTotal, .counter(Double(uploads.files))),
                (.objectStoreUploadedBytesTotal, .counter(Double(uploads.bytes))),
                (.objectStoreFailuresTotal, .counter(Double(uploads.failures))),
                (.objectStoreWaitingWindows, .gauge(Double(uploads.waitingWindows))),
                (
                    .objectStoreOldestWaitingSeconds,
                    .gauge(Double(uploads.oldestWaitingSeconds))
                ),
            ]
            for (family, value) in values {
                samples.append(MetricSample(family: family, labels: [], value: value))
            }
        }
        for resource in Resource.allCases {
            let waiting = MetricValue.gauge(Double(merging.waiting[resource] ?? 0))
            samples.append(
                MetricSample(family: .mergeWaitingWindows, labels: [resource.name], value: waiting)
            )
        }
        for reason in HTTPClosure.allCases {
            let closed = MetricValue.counter(Double(http.closed[reason, default: 0]))
            samples.append(
                MetricSample(
                    family: .httpConnectionsClosedTotal,
                    labels: [reason.rawValue],
                    value: closed
                )
            )
        }
        for (worker, ratio) in skew {
            samples.append(
                MetricSample(family: .workerSkewRatio, labels: ["\(worker)"], value: .gauge(ratio))
            )
        }
        for (resource, count) in counts {
            let values: [(MetricFamily, MetricValue)] = [
                (.mergesTotal, .counter(count.merges)), (.finalFilesTotal, .counter(count.files)),
                (.mergeBytesTotal, .counter(count.bytes)),
                (.mergeSegmentBytesTotal, .counter(count.segmentBytes)),
                (.lostRowsTotal, .counter(count.lostRows)),
                (.rebuiltRowsTotal, .counter(count.rebuiltRows)),
                (.mergeSeconds, .histogram(buckets: count.buckets, sum: count.seconds)),
            ]
            for (family, value) in values {
                samples.append(MetricSample(family: family, labels: [resource.name], value: value))
            }
        }
        return samples
    }
}
