import IngestLog
import TraceModel
import TraceWire

/// Finds gaps in the log while it is replayed, and what stood there by the totals around them.
struct DamageTally: ~Copyable {
    private var index = EventIndex()
    private var last: (end: LSN, accepted: UInt64)?
    private var gaps: [DamagePayload] = []
    private var reported: [Range<LSN>] = []

    init() {}

    /// The next record in LSN order.
    /// - Throws: `TraceError(.corrupt)` where a damage record is out of shape.
    mutating func pass(_ record: LogRecord) throws(TraceError) {
        let accepted = record.counts.acceptedTotal
        if let last, record.lsn > last.end {
            let held = accepted - last.accepted - UInt64(events(of: record))
            gaps.append(DamagePayload(range: last.end..<record.lsn, events: held))
        }
        if record.type == .damage {
            reported.append(try DamagePayload(decoding: record.body).range)
        }
        last = (record.lsn + LSN(record.stride), accepted)
    }

    private mutating func events(of record: LogRecord) -> Int {
        guard record.type == .batch else { return 0 }
        return (try? BatchScanner.scan(record.body, into: &index))?.total ?? 0
    }

    /// Of the ranges that the log's recovery found damaged, those that no damage record has told of.
    func unreported(of damaged: [Range<LSN>]) -> [DamagePayload] {
        damaged.filter { !reported.contains($0) }.map { range in
            // Without a record before it there is nothing to count from.
            gaps.first { $0.range == range } ?? DamagePayload(range: range, events: 0)
        }
    }
}
