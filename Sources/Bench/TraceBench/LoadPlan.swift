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
