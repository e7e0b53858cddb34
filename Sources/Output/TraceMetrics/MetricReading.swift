package import TraceModel

/// What there is to expose, of one revision of the store: metrics and status are built from the same
/// reading, so they can't contradict each other.
package struct MetricReading: Sendable {
    package struct Worker: Sendable, Equatable {
        package let name: WorkerName
        /// nil while it is down.
        package let pid: UInt32?
        package let isUp: Bool
        /// Why starting it again changes nothing, and what does; nil where it is not so.
        package let lost: String?
        package let lagBytes: UInt64
        package let appliedLSN: LSN
        package let checkpointLSN: LSN
        /// Up to where the newest of its slots is counted.
        package let countedLSN: LSN
        package let restarts: UInt64
    }

    package let revision: UInt64
    /// Families that are not derived and have series, in the catalog's order; none in a reading of the status.
    package let families: [FamilyReading]
    package let router: RouterStatus
    /// nil while the router is down.
    package let routerPID: UInt32?
    /// The workers that the router expects, in its order.
    package let workers: [Worker]
    package let writtenEvents: UInt64
    /// Rows of damaged segments, which no final file has.
    package let lostRows: UInt64
    /// How processes have ended lately, by name.
    package let recentEnds: [String: RecentEnds]

    package func family(_ family: MetricFamily) -> FamilyReading? {
        families.first { $0.descriptor.family == family }
    }
}
