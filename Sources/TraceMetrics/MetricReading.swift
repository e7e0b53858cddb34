package import TraceModel

/// Everything there is to expose, of one revision of the store: metrics and status are built from the
/// same reading, so they can't contradict each other.
package struct MetricReading: Sendable {
    package struct Series: Sendable, Equatable {
        package let labels: [String]
        package let value: MetricValue

        package init(labels: [String], value: MetricValue) {
            self.labels = labels
            self.value = value
        }
    }

    /// A family's series, by labels.
    package struct Family: Sendable {
        package let descriptor: MetricDescriptor
        package let series: [Series]
    }

    package struct Worker: Sendable, Equatable {
        package let name: WorkerName
        /// nil while it is down.
        package let pid: UInt32?
        package let isUp: Bool
        package let lagBytes: UInt64
        package let appliedLSN: LSN
        package let checkpointLSN: LSN
        package let restarts: UInt64
    }

    package let revision: UInt64
    /// Families that are not derived and have series, in the catalog's order.
    package let families: [Family]
    package let router: RouterStatus
    /// nil while the router is down.
    package let routerPID: UInt32?
    /// The workers that the router expects, in its order.
    package let workers: [Worker]
    package let writtenEvents: UInt64

    package func family(_ family: MetricFamily) -> Family? {
        families.first { $0.descriptor.family == family }
    }
}
