import TraceMetrics
import TraceModel

/// Creates snapshots for tests in few words.
enum SampleFactory {
    static func events(_ count: Double, resource: String = "function") -> MetricSample {
        MetricSample(family: .eventsTotal, labels: [resource], value: .counter(count))
    }

    static func calls(_ count: Double, pid: Int, function: String = "f") -> MetricSample {
        MetricSample(
            family: .functionCallsTotal,
            labels: ["h", "\(pid)", "pid-\(pid)", function],
            value: .counter(count)
        )
    }

    static func active(_ count: Double, pid: Int) -> MetricSample {
        MetricSample(
            family: .activeFunctions,
            labels: ["h", "\(pid)", "pid-\(pid)"],
            value: .gauge(count)
        )
    }

    static func processing(_ count: UInt64, sum: Double) -> MetricSample {
        var buckets = [UInt64](repeating: 0, count: MetricBounds.latencySeconds.count + 1)
        buckets[2] = count
        return MetricSample(
            family: .batchProcessingSeconds,
            labels: ["function"],
            value: .histogram(buckets: buckets, sum: sum)
        )
    }

    static func snapshot(
        _ process: String = "function.0",
        incarnation: UInt64 = 1,
        slots: [SlotSamples] = [],
        own: [MetricSample] = []
    ) -> Report {
        let snapshot = MetricSnapshot(
            process: process,
            incarnation: incarnation,
            pid: 100,
            own: own
        )
        return Report(snapshot: snapshot, slots: slots)
    }

    static func slot(
        _ slot: UInt8,
        lsn: LSN,
        full: Bool = true,
        _ samples: [MetricSample]
    ) -> SlotSamples {
        SlotSamples(slot: slot, lsn: lsn, isFull: full, samples: samples)
    }

    static func routerSnapshot(workers: [String], received: UInt64 = 0) -> MetricSnapshot {
        let links = workers.compactMap(WorkerName.init).map {
            WorkerLink(worker: $0, connected: true, lagBytes: 0)
        }
        let status = RouterStatus(receivedEvents: received, workers: links, accepting: true)
        return MetricSnapshot(process: "router", incarnation: 1, pid: 7, router: status)
    }
}

extension MetricReading {
    /// The value of a series; nil if it does not exist.
    func value(_ family: MetricFamily, _ labels: [String] = []) -> MetricValue? {
        self.family(family)?.series.first { $0.labels == labels }?.value
    }
}
