package import TraceModel

/// A process whose signs of life are watched.
package enum ClusterMember: Hashable, Sendable, Comparable, CustomStringConvertible {
    case router
    case aggregator
    case worker(WorkerName)

    package var description: String {
        switch self {
        case .router: "router"
        case .aggregator: "aggregator"
        case .worker(let name): name.description
        }
    }

    package static func < (left: ClusterMember, right: ClusterMember) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int {
        switch self {
        case .router: 0
        case .aggregator: 1
        case .worker(let name):
            2 + Int(name.resource.rawValue) * Limits.workersPerResourceMax + name.index
        }
    }
}
