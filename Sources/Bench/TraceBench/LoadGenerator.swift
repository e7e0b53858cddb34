import GRPCTransport
package import TraceModel

/// The agents: their connections to one server, and what they send.
package final class LoadGenerator {
    private let plan: LoadPlan
    private let clients: [GRPCClient]
    private let traffic: Traffic

    /// Connects at the first load. `close` must be called in every case.
    package init(_ plan: LoadPlan, server: String, traffic: Traffic) {
        self.plan = plan
        self.traffic = traffic
        clients = (0..<plan.agents).map { _ in GRPCClient(target: server) }
    }

    package func close() {
        for client in clients { client.close() }
    }

    /// Sends for `seconds` and blocks until everything sent is answered. Throws `TraceError` where the
    /// server refuses for another reason than being full, or is not there.
    package func load(seconds: Double) throws(TraceError) -> LoadOutcome {
        let outcome =
            if plan.streams > 0 {
                StreamLoad(plan, clients: clients, traffic: traffic, seconds: seconds).run()
            } else {
                UnaryLoad(plan, clients: clients, traffic: traffic, seconds: seconds).run()
            }
        if let failure = outcome.failure {
            throw TraceError(.unreachable, "the load \(plan.name) broke off: \(failure)")
        }
        return outcome
    }
}
