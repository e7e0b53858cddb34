import IngestLog
import TraceModel
import TraceWire

/// What must hold from record to record, beyond each being whole: checksums can't tell a writer's mistake.
struct LogConsistency: ~Copyable {
    private var index = EventIndex()
    private var last: (end: LSN, counts: LogCounts, durable: LSN)?
    private var window: UInt64?

    /// Where log files begin: a head must stand there and nowhere else.
    private let bases: Set<LSN>
    private let newest: LSN

    init(bases: [LSN]) {
        self.bases = Set(bases)
        newest = bases.last ?? 0
    }

    /// What is wrong with the next record in LSN order; nil where nothing is.
    mutating func findFault(in record: LogRecord) -> String? {
        let counts = record.counts
        defer { last = (record.lsn + LSN(record.stride), counts, record.durableLSN) }
        // Files that a running router has begun since are not in the list.
        if record.lsn <= newest, (record.type == .fileHead) != bases.contains(record.lsn) {
            return record.type == .fileHead
                ? "a file's head where no file begins" : "no head where a file begins"
        }
        guard record.durableLSN <= record.lsn else { return "it claims that itself was durable" }
        if let fault = findFault(inBodyOf: record) { return fault }
        guard let last else { return nil }
        guard record.durableLSN >= last.durable else { return "the durable LSN goes back" }
        return findFault(in: counts, after: last.counts, record, isNext: record.lsn == last.end)
    }

    private mutating func findFault(inBodyOf record: LogRecord) -> String? {
        do throws(TraceError) {
            switch record.type {
            case .barrier:
                let barrier = try BarrierPayload(decoding: record.body)
                defer { window = barrier.window }
                if let window, barrier.window <= window { return "its window was closed before" }
            case .damage: _ = try DamagePayload(decoding: record.body)
            case .verdict: _ = try VerdictPayload(decoding: record.body)
            default: break
            }
        } catch {
            return error.message
        }
        return nil
    }

    /// Counts never go back, and between neighbours the accepted ones grow by what the record holds.
    private mutating func findFault(
        in counts: LogCounts,
        after earlier: LogCounts,
        _ record: LogRecord,
        isNext: Bool
    ) -> String? {
        var summary: BatchSummary?
        if record.type == .batch {
            do throws(WireError) {
                summary = try BatchScanner.scan(record.body, into: &index)
            } catch {
                return "the batch can't be decoded: \(error)"
            }
        }
        for resource in Resource.allCases {
            let position = Int(resource.rawValue)
            let (now, before) = (counts.accepted[position], earlier.accepted[position])
            guard now >= before else { return "the count of \(resource.name) events goes back" }
            let held = UInt64(summary?.count(of: resource) ?? 0)
            if isNext, now - before != held {
                return "the count of \(resource.name) events grows by \(now - before), "
                    + "the record holds \(held)"
            }
        }
        return counts.deduplicated < earlier.deduplicated || counts.rejected < earlier.rejected
            || counts.deadLettered < earlier.deadLettered ? "a count of events goes back" : nil
    }
}
