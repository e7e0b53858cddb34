import IngestLog
import TraceModel
import TraceWire

/// Counts the batches of a log as they were counted on arrival: for the de-duplication window, the open window, and the
/// maximum output of the log's events.
struct BatchReplay: ~Copyable {
    private var index = EventIndex()
    private(set) var window = OpenWindow()
    private(set) var pending = PendingOutput()

    /// Counts the batch of a record. Every logged batch has been scanned before, so one that fails the scan is damaged,
    /// which its checksum would have shown.
    mutating func apply(_ record: LogRecord, to dedup: inout DedupWindow) {
        let batch = unsafe record.body
        guard let summary = try? unsafe BatchScanner.scan(batch, into: &index) else { return }
        var events: InlineArray<6, Int> = InlineArray(repeating: 0)
        var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
        var output: InlineArray<6, Int> = InlineArray(repeating: 0)
        for position in 0..<index.count {
            let event = index[position]
            wireBytes[Int(event.resource.rawValue)] += Int(event.length)
        }
        for resource in Resource.allCases {
            let place = Int(resource.rawValue)
            events[place] = summary.count(of: resource)
            output[place] = PendingOutput.bytesMax(
                resource,
                events: events[place],
                wireBytes: wireBytes[place]
            )
        }
        window.add(
            events: events,
            wireBytes: wireBytes,
            isLastBatch: summary.isLastBatch,
            arrival: record.arrival
        )
        pending.logged(output, end: record.lsn + LSN(record.stride))
        guard summary.hasSequence else { return }
        unsafe dedup.insert(
            client: Array(summary.clientID.buffer),
            sequence: summary.sequence,
            digest: DedupWindow.digest(of: batch)
        )
    }

    /// Notes that a barrier ended the window.
    mutating func passedBarrier() { window = OpenWindow() }
}
