import IngestLog
import TraceModel
import TraceWire

/// The open window's content as recorded in the log, from which a restarted router continues the window.
struct OpenWindow: Sendable {
    private(set) var events: InlineArray<6, Int> = InlineArray(repeating: 0)
    private(set) var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// Arrival time of its first batch; nil if there is none.
    private(set) var firstArrival: EpochNanoseconds?
    /// Whether a batch was marked as its client's last.
    private(set) var lastBatchSeen = false

    /// Counts a batch with its arrival time.
    mutating func add(
        events: InlineArray<6, Int>,
        wireBytes: InlineArray<6, Int>,
        isLastBatch: Bool,
        arrival: EpochNanoseconds
    ) {
        for index in events.indices {
            self.events[index] += events[index]
            self.wireBytes[index] += wireBytes[index]
        }
        firstArrival = firstArrival ?? arrival
        lastBatchSeen = lastBatchSeen || isLastBatch
    }
}
