import IngestLog
import SystemIO
import TraceModel

/// Narrows log records to what each worker owns. One pass over a record's events whatever the number of
/// workers; events that lie side by side and go the same way are copied at once.
final class ShareBuilder {
    /// A worker's share of the records added so far; sent without copying.
    final class Share: @unchecked Sendable {
        let worker: WorkerName
        var buffer: RawBuffer
        fileprivate var recordBytes = 0
        fileprivate var target: UnsafeMutableRawPointer?

        init(worker: WorkerName) {
            self.worker = worker
            buffer = RawBuffer(capacity: 64 << 10)
        }
    }

    private let wanted: Set<WorkerName>
    private var shares: [Share] = []
    /// By resource and slot, the position in `shares`, or `nobody`.
    private var table = [UInt16](repeating: ShareBuilder.nobody, count: Resource.count * Slot.count)
    private static let nobody = UInt16.max

    /// Shares only for the workers named.
    init(for wanted: Set<WorkerName>, map: SlotMap) {
        self.wanted = wanted
        use(map)
    }

    /// The slot map for the records that follow.
    func use(_ map: SlotMap) {
        for resource in Resource.allCases {
            for (slot, owner) in map.owners(of: resource).enumerated() {
                let worker = WorkerName(resource: resource, index: Int(owner))
                table[Int(resource.rawValue) * Slot.count + slot] =
                    wanted.contains(worker) ? UInt16(position(of: worker)) : Self.nobody
            }
        }
        // Barriers and ticks go to every worker there is, also to one that owns no slot.
        for worker in wanted { _ = position(of: worker) }
    }

    private func position(of worker: WorkerName) -> Int {
        if let known = shares.firstIndex(where: { $0.worker == worker }) { return known }
        shares.append(Share(worker: worker))
        return shares.count - 1
    }

    /// Adds a barrier or a tick.
    func addForAll(_ record: LogRecord) {
        let body = record.body
        for share in shares {
            let target = ShareRecord.append(record, bodyBytes: body.count, to: &share.buffer)
            if let start = body.baseAddress {
                target.copyMemory(from: start, byteCount: body.count)
            }
        }
    }

    /// Adds a batch's events, which lie in `events` from `first` on.
    func add(_ record: LogRecord, events: borrowing RoutedEvents, first: Int, count: Int) {
        guard let body = record.body.baseAddress else { return }
        for index in first..<first + count {
            let event = events[index]
            let owner = table[Int(event.resource) * Slot.count + Int(event.slot)]
            if owner != Self.nobody { shares[Int(owner)].recordBytes += Int(event.length) }
        }
        for share in shares where share.recordBytes > 0 {
            share.target = ShareRecord.append(
                record,
                bodyBytes: share.recordBytes,
                to: &share.buffer
            )
            share.recordBytes = 0
        }
        var index = first
        while index < first + count {
            let event = events[index]
            let owner = table[Int(event.resource) * Slot.count + Int(event.slot)]
            let start = Int(event.offset)
            var end = start + Int(event.length)
            index += 1
            while index < first + count {
                let next = events[index]
                guard table[Int(next.resource) * Slot.count + Int(next.slot)] == owner,
                    Int(next.offset) == end
                else { break }
                end += Int(next.length)
                index += 1
            }
            guard owner != Self.nobody, let target = shares[Int(owner)].target else { continue }
            target.copyMemory(from: body + start, byteCount: end - start)
            shares[Int(owner)].target = target + (end - start)
        }
    }

    /// The shares built, empty ones included.
    func finish() -> [Share] { shares }
}
