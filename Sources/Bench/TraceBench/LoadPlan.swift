import GRPCTransport
import Glibc
package import TraceModel

/// Waiting for a moment of the monotonic clock.
enum Pause {
    /// Returns at once where it is past. Blocks the thread.
    static func until(_ moment: Int64) {
        var time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }
}

/// What is sent, how fast and for how long.
package struct LoadPlan: Sendable, Codable, Equatable {
    package enum Pace: Sendable, Codable, Equatable {
        /// So many batches of each agent (or stream) wait for their ack at once; the next one goes out as
        /// one comes back.
        case closed(inFlight: Int)
        /// Batches go out when they are due, whatever comes back; latency counts from when one was due.
        case open(eventsPerSecond: Double)
    }

    /// Unacknowledged batches above which even an open loop waits.
    package static let openInFlightMax = 4_096

    package var name = "function"
    package var mix = EventMix.function
    package var batchEvents = 100
    package var pace = Pace.closed(inFlight: 32)
    /// Connections.
    package var agents = 1
    /// Streams of each agent; 0: a call a batch.
    package var streams = 0
    package var processes = 200
    package var functions = 500
    /// Events encoded beforehand and sent over and over: enough that each process meets most functions.
    package var encodedEvents = 200_000
    package var seconds = 5.0
    package var warmUpSeconds = 2.0
    package var runs = 3

    package init() {}

    /// Batches that may be on their way at once.
    package var inFlightMax: Int {
        switch pace {
        case .closed(let inFlight): inFlight * agents * max(1, streams)
        case .open: Self.openInFlightMax
        }
    }

    /// Time from one batch to the next, ns; nil in a closed loop.
    package var intervalNanoseconds: Double? {
        guard case .open(let rate) = pace else { return nil }
        return Double(batchEvents) / rate * 1e9
    }
}

/// What came back from one load.
package struct LoadOutcome: Sendable {
    /// Acknowledged.
    package var events = 0
    package var batches = 0
    /// Wire bytes of what was acknowledged.
    package var bytes = 0
    /// Batches answered with `RESOURCE_EXHAUSTED`.
    package var refused = 0
    /// From the first batch sent to the last ack.
    package var seconds = 0.0
    package var latency = LatencyRecorder()
    /// Why the load broke off, where it did.
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

    package func close() { for client in clients { client.close() } }

    /// Sends for `seconds` and blocks until everything sent is answered. Throws `TraceError` where the
    /// server refuses for another reason than being full, or is not there.
    package func load(seconds: Double) throws(TraceError) -> LoadOutcome {
        let outcome =
            if plan.streams > 0 { StreamLoad(plan, clients: clients, traffic: traffic, seconds: seconds).run() } else {
                UnaryLoad(plan, clients: clients, traffic: traffic, seconds: seconds).run()
            }
        if let failure = outcome.failure {
            throw TraceError(.unreachable, "the load \(plan.name) broke off: \(failure)")
        }
        return outcome
    }
}
