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
    package var latency = LatencyHistogram()
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
