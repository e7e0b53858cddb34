import IngestLog
import TraceModel
import TraceWire

/// Puts logged batches back into the de-duplication window.
struct DedupReplay: ~Copyable {
    private var index = EventIndex()

    /// A batch in the log has been scanned before it was logged; one that no longer scans is damaged, which
    /// its checksum would have told.
    mutating func apply(_ record: LogRecord, to window: inout DedupWindow) {
        let batch = record.body
        guard let summary = try? BatchScanner.scan(batch, into: &index), summary.hasSequence else {
            return
        }
        window.insert(
            client: Array(summary.clientID.buffer),
            sequence: summary.sequence,
            digest: DedupWindow.digest(of: batch)
        )
    }
}
