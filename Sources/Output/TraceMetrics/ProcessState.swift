package import TraceModel

/// What the store knows of one process.
package struct ProcessState: Sendable, Equatable {
    package internal(set) var incarnation: UInt64
    package internal(set) var pid: UInt32
    package internal(set) var appliedLSN: LSN = 0
    package internal(set) var checkpointLSN: LSN = 0
    package internal(set) var headLSN: LSN = 0
    /// False from `declareDown` until it is heard again.
    package internal(set) var isUp = true
    /// Starts after the first.
    package internal(set) var restarts: UInt64 = 0
    /// Its own samples are part of the retired totals: what this incarnation still says is known.
    var isRetired = false
    var own: [SeriesKey: MetricValue] = [:]

    init(incarnation: UInt64, pid: UInt32) {
        self.incarnation = incarnation
        self.pid = pid
    }
}
