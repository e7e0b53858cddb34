package import TraceModel

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
