import IngestLog
import TraceModel
import TraceWire

/// What the open window holds, as the log says: with it a router that starts goes on with the window that it finds.
struct OpenWindow: Sendable {
    private(set) var events: InlineArray<6, Int> = InlineArray(repeating: 0)
    private(set) var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// When its first batch came; nil where there is none.
    private(set) var firstArrival: EpochNanoseconds?
    /// A batch said that it is its client's last.
    private(set) var lastBatchSeen = false

    /// Counts a batch that came then.
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
