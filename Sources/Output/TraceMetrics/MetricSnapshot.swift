package import TraceModel

/// One series of a family with its value. `labels` stand in the order of the family's label names.
package struct MetricSample: Sendable, Equatable {
    package var family: MetricFamily
    package var labels: [String]
    package var value: MetricValue

    package init(family: MetricFamily, labels: [String], value: MetricValue) {
        self.family = family
        self.labels = labels
        self.value = value
    }

    /// False where kind, value, length of a label, number of labels or number of buckets are not the family's, or where the family
    /// is worked out from another and must not be sent.
    package var isWellFormed: Bool {
        let descriptor = family.descriptor
        guard descriptor.derivation == nil, labels.count == descriptor.labels.count, value.kind == descriptor.kind,
            labels.allSatisfy({ $0.utf8.count <= Limits.labelBytesMax })
        else { return false }
        switch value {
        case .counter(let count): return count.isFinite && count >= 0 && count < Double(UInt64.max)
        case .gauge: return true
        case .histogram(let buckets, let sum): return buckets.count == descriptor.bounds.count + 1 && sum.isFinite
        }
    }
}

/// What a worker or the router tells the aggregator of itself, once a second and when it falls quiet: a sign of
/// life, so it is small and waits for nothing. What a worker counts of the log comes as `MetricSeries`.
package struct MetricSnapshot: Sendable, Equatable {
    /// The process name the router goes by; workers go by their `WorkerName`.
    package static let router = "router"
    package static let aggregator = "aggregator"
    /// The processes of which there is one.
    package static let singletons: Set<String> = [router, aggregator]

    package var process: String
    /// Grows with each start of the process.
    package var incarnation: UInt64
    package var pid: UInt32
    package var appliedLSN: LSN
    package var checkpointLSN: LSN
    package var headLSN: LSN
    /// What does not follow from the log (times, restarts): cumulative since this incarnation began.
    package var own: [MetricSample]
    /// Of the router only.
    package var router: RouterStatus?

    package init(
        process: String, incarnation: UInt64, pid: UInt32, appliedLSN: LSN = 0, checkpointLSN: LSN = 0,
        headLSN: LSN = 0, own: [MetricSample] = [], router: RouterStatus? = nil
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

/// A worker's series as of some slots' states, for the aggregator: an encoded run of sections.
///
/// A series is defined once, with an id, in the run of messages that begins with `begins`; after that its
/// value comes with the id alone.
package struct MetricSeries: Sendable, Equatable {
    package var process: String
    /// Grows with each start of the process.
    package var incarnation: UInt64
    /// Ids begin anew: nothing told before counts.
    package var begins: Bool
    /// What `SeriesWriter` wrote.
    package var sections: [UInt8]
    /// 0, or where the worker began without state: what it has told of its slots up to there, in another life,
    /// stays counted beside what it tells from then on.
    package var renewedLSN: LSN

    package init(process: String, incarnation: UInt64, begins: Bool, sections: [UInt8], renewedLSN: LSN = 0) {
        self.renewedLSN = renewedLSN
        self.process = process
        self.incarnation = incarnation
        self.begins = begins
        self.sections = sections
    }
}
