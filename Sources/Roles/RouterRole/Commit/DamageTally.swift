import IngestLog
import TraceModel
import TraceWire

/// Finds gaps in the log during replay, and derives the number of events in each from the totals around it.
struct DamageTally: ~Copyable {
    /// A range without valid records.
    struct Gap: Equatable {
        let range: Range<LSN>
        /// Events by resource; 0 if no record before the gap gives totals.
        let events: [UInt64]

        init(range: Range<LSN>, events: [UInt64] = [UInt64](repeating: 0, count: Resource.count)) {
            self.range = range
            self.events = events
        }

        /// Returns the damage record for the gap, given the LSNs of the workers' checkpoints: nil for one that is
        /// unknown, no entry for a worker without checkpoint.
        func damage(_ map: SlotMap, _ checkpoints: [WorkerName: LSN?]) -> DamagePayload {
            var (lost, uncertain): (UInt64, UInt64) = (0, 0)
            for resource in Resource.allCases {
                let held = events[Int(resource.rawValue)]
                let positions = map.allWorkers.filter { $0.resource == resource }.map {
                    checkpoints[$0] ?? .some(0)
                }
                if positions.allSatisfy({ $0.map { $0 <= range.lowerBound } ?? false }) {
                    lost += held
                } else if !positions.allSatisfy({ $0.map { $0 >= range.upperBound } ?? false }) {
                    uncertain += held
                }
            }
            return DamagePayload(range: range, events: lost, uncertain: uncertain)
        }
    }

    private var index = EventIndex()
    private var last: (end: LSN, accepted: InlineArray<6, UInt64>)?
    private var gaps: [Gap] = []
    /// Events by resource accepted before the first record.
    private(set) var acceptedBefore = [UInt64](repeating: 0, count: Resource.count)
    /// Ranges for which there are damage records.
    private(set) var reported: [Range<LSN>] = []

    init() {}

    /// Processes the next record in LSN order.
    /// - Throws: `TraceError(.corrupt)` if a damage record is malformed.
    mutating func pass(_ record: LogRecord) throws(TraceError) {
        let accepted = record.counts.accepted
        if last == nil || record.lsn > last?.end ?? 0 {
            let own = events(of: record)
            let held = Resource.allCases.map { resource -> UInt64 in
                let place = Int(resource.rawValue)
                let before = own[place] + (last?.accepted[place] ?? 0)
                return accepted[place] - min(before, accepted[place])
            }
            if let last {
                gaps.append(Gap(range: last.end..<record.lsn, events: held))
            } else {
                acceptedBefore = held
            }
        }
        if record.type == .damage {
            let damage = try unsafe DamagePayload(decoding: record.body)
            if !damage.settles { reported.append(damage.range) }
        }
        last = (record.lsn + LSN(record.stride), accepted)
    }

    private mutating func events(of record: LogRecord) -> [UInt64] {
        guard record.type == .batch,
            let summary = try? unsafe BatchScanner.scan(record.body, into: &index)
        else {
            return [UInt64](repeating: 0, count: Resource.count)
        }
        return Resource.allCases.map { UInt64(summary.count(of: $0)) }
    }

    /// Returns those of the ranges that recovery found damaged for which there is no damage record yet.
    func unreported(of damaged: [Range<LSN>]) -> [Gap] {
        damaged.filter { !reported.contains($0) }.map { range in
            // Without a record before the gap its events are unknown.
            gaps.first { $0.range == range } ?? Gap(range: range)
        }
    }
}
