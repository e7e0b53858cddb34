package import TraceModel

/// One series of a family with its value. `labels` are in the order of the family's label names.
package struct MetricSample: Sendable, Equatable {
    package var family: MetricFamily
    package var labels: [String]
    package var value: MetricValue

    package init(family: MetricFamily, labels: [String], value: MetricValue) {
        self.family = family
        self.labels = labels
        self.value = value
    }

    /// False where kind, value, a label's length, the number of labels or of buckets does not fit the family, or where
    /// the family is derived and must not be sent.
    package var isWellFormed: Bool {
        let descriptor = family.descriptor
        guard descriptor.derivation == nil, labels.count == descriptor.labels.count,
            value.kind == descriptor.kind,
            labels.allSatisfy({ $0.utf8.count <= Limits.labelBytesMax })
        else { return false }
        switch value {
        case .counter(let count): return count.isFinite && count >= 0 && count < Double(UInt64.max)
        case .gauge: return true
        case .histogram(let buckets, let sum):
            return buckets.count == descriptor.bounds.count + 1 && sum.isFinite
        }
    }
}

/// A process's own state as it reports it to the aggregator, once a second and when it becomes idle. It is also the
/// heartbeat, so it is small and never waits. What a worker counts of the log is sent as `MetricSeries`.
package struct MetricSnapshot: Sendable, Equatable {
    /// The process name of the router; workers use their `WorkerName`.
    package static let router = "router"
    package static let aggregator = "aggregator"
    /// The console sends no snapshots; the aggregator sees it end.
    package static let console = "console"
    package static let edge = "edge"
    /// The processes of which there is exactly one.
    package static let singletons: Set<String> = [router, aggregator]

    package var process: String
    /// Grows with each start of the process.
    package var incarnation: UInt64
    package var pid: UInt32
    package var appliedLSN: LSN
    package var checkpointLSN: LSN
    package var headLSN: LSN
    /// Samples that do not derive from the log (times, restarts), cumulative since this incarnation began.
    package var own: [MetricSample]
    /// Set by the router only.
    package var router: RouterStatus?

    package init(
        process: String,
        incarnation: UInt64,
        pid: UInt32,
        appliedLSN: LSN = 0,
        checkpointLSN: LSN = 0,
        headLSN: LSN = 0,
        own: [MetricSample] = [],
        router: RouterStatus? = nil
    ) {
        self.process = process
        self.incarnation = incarnation
        self.pid = pid
        self.appliedLSN = appliedLSN
        self.checkpointLSN = checkpointLSN
        self.headLSN = headLSN
        self.own = own
        self.router = router
    }
}

/// A worker's series as of the states of some slots: encoded sections for the aggregator.
///
/// A series is defined once, with an id, in the sequence of messages that starts with one where `begins` is set. After
/// that, its value comes with the id alone.
package struct MetricSeries: Sendable, Equatable {
    package var process: String
    /// Grows with each start of the process.
    package var incarnation: UInt64
    /// True where ids start anew, so that all earlier definitions are void.
    package var begins: Bool
    /// The bytes that `SeriesWriter` wrote.
    package var sections: [UInt8]
    /// 0, or the LSN at which the worker began without state. What others, and earlier incarnations, counted of its slots
    /// up to there is kept and added to what this one reports.
    package var renewedLSN: LSN

    package init(
        process: String,
        incarnation: UInt64,
        begins: Bool,
        sections: [UInt8],
        renewedLSN: LSN = 0
    ) {
        self.renewedLSN = renewedLSN
        self.process = process
        self.incarnation = incarnation
        self.begins = begins
        self.sections = sections
    }
}
