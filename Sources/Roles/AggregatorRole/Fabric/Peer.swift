import ActivityMonitoring
import TraceMetrics
import TraceModel
import ZeroMQ

/// A process on the other end of the fabric, by the name its socket goes by: `function.0.e17`.
struct Peer: Hashable, Sendable {
    let routingID: RoutingID
    let process: String
    let incarnation: UInt64

    /// nil where the name is none of ours.
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

    var worker: WorkerName? { WorkerName(process) }

    var member: ClusterMember { worker.map { .worker($0) } ?? .router }
}
