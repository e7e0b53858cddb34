import GRPCTransport
import Glibc
package import OperatorTools
package import TraceModel

/// Waits for a time of the monotonic clock.
enum Pause {
    /// Blocks the thread until then; returns at once if the time is past.
    static func until(_ moment: Int64) {
        var time = timespec(
            tv_sec: Int(moment / 1_000_000_000),
            tv_nsec: Int(moment % 1_000_000_000)
        )
        while unsafe clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }
}

/// What a load sends, how fast and for how long.
package struct LoadPlan: Sendable, Codable, Equatable {
    /// When a load sends its next batch.
    package enum Pace: Sendable, Codable, Equatable {
        /// A fixed number of batches of each agent (or stream) are in flight; the next one is sent when one is
        /// acknowledged.
        case closed(inFlight: Int)
        /// Batches are sent when they are due, whether or not others are acknowledged. Latency counts from the due
        /// time.
        case open(eventsPerSecond: Double)
    }

    /// The number of unacknowledged batches above which even an open loop waits.
    package static let openInFlightMax = 4_096

    package var name = "function"
    package var mix = EventMix.function
    package var batchEvents = 100
    package var pace = Pace.closed(inFlight: 32)
    /// Connections.
    package var agents = 1
    /// Streams of each agent; 0 sends each batch by a call of its own.
    package var streams = 0
    package var processes = 200
    package var functions = 500
    /// Events that are encoded beforehand and sent repeatedly: enough that each process calls most functions.
    package var encodedEvents = 200_000
    package var seconds = 5.0
    package var warmUpSeconds = 2.0
    package var runs = 3

    package init() {}

    /// The greatest number of batches in flight.
    package var inFlightMax: Int {
        switch pace {
        case .closed(let inFlight): inFlight * agents * max(1, streams)
        case .open: Self.openInFlightMax
        }
    }

    /// Time between batches in ns; nil in a closed loop.
    package var intervalNanoseconds: Double? {
        guard case .open(let rate) = pace else { return nil }
        return Double(batchEvents) / rate * 1e9
    }
}

/// The result of one load.
package struct LoadOutcome: Sendable {
    /// Acknowledged events.
    package var events = 0
    package var batches = 0
    /// Wire bytes of the acknowledged batches.
    package var bytes = 0
    /// Batches answered with `RESOURCE_EXHAUSTED`.
    package var refused = 0
    /// From the first batch sent to the last ack.
    package var seconds = 0.0
    package var latency = LatencyRecorder()
    /// Why the load was aborted, if it was.
    package var failure: String?

    package init() {}

    package var eventsPerSecond: Double { seconds > 0 ? Double(events) / seconds : 0 }

    mutating func acknowledged(_ events: Int, bytes: Int, latency nanoseconds: Int64) {
        self.events += events
        self.bytes += bytes
        batches += 1
        latency.record(nanoseconds)
    }
}

/// The agents of a load: their connections to one server, and the batches that they send.
package final class LoadGenerator {
    private let plan: LoadPlan
    private let clients: [GRPCClient]
    private let traffic: Traffic

    /// Makes the agents, which connect at the first load. `close` must always be called.
    package init(_ plan: LoadPlan, server: ServerConnection, traffic: Traffic) {
        self.plan = plan
        self.traffic = traffic
        clients = (0..<plan.agents).map { _ in server.client() }
    }

    /// Closes all connections.
    package func close() { for client in clients { client.close() } }

    /// Sends for `seconds` and blocks until everything sent is answered.
    /// - Throws: `TraceError` where the server is not reachable or refuses for another reason than being full.
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
