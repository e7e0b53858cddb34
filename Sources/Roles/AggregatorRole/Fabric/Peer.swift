import ActivityMonitoring
import TraceMetrics
import TraceModel
import ZeroMQ

/// A process at the other end of the fabric, identified by its socket's name, for example `function.0.e17`.
struct Peer: Hashable, Sendable, CustomStringConvertible {
    let routingID: RoutingID
    let process: String
    let incarnation: UInt64

    /// Parses the routing ID; nil if it is not the name of a worker or the router.
    init?(_ routingID: RoutingID) {
        let text = routingID.description
        guard let mark = text.lastIndex(of: "."), text[text.index(after: mark)...].first == "e",
            let incarnation = UInt64(text[text.index(mark, offsetBy: 2)...])
        else { return nil }
        let process = String(text[..<mark])
        guard process == MetricSnapshot.router || WorkerName(process) != nil else { return nil }
        self.routingID = routingID
        self.process = process
        self.incarnation = incarnation
    }

    var description: String { routingID.description }

    var worker: WorkerName? { WorkerName(process) }

    var member: ClusterMember { worker.map { .worker($0) } ?? .router }
}
