package import IngestLog
import SystemIO
package import TraceModel

/// Reduces log records to what each worker owns. Makes one pass over a record's events whatever the number of workers,
/// and copies adjacent events of the same worker at once. Reused from group to group while workers and slot map stay
/// the same.
package struct ShareBuilder: ~Copyable {
    /// The share of one worker while it is built.
    @safe
    private final class Share {
        let worker: WorkerName
        private let pool: SharePool
        /// Expected size of the next payload; 0 if unknown.
        var expectedBytes: Int
        /// Bytes of the worker's last share for each byte of the log.
        var portion = 0.0
        private var begun: SharePayload?
        var recordBytes = 0
        var target: UnsafeMutableRawPointer?

        init(worker: WorkerName, expectedBytes: Int, pool: SharePool) {
            self.worker = worker
            self.pool = pool
            self.expectedBytes = expectedBytes
        }

        /// The payload to which records are added.
        var payload: SharePayload {
            if let begun { return begun }
            let fresh = SharePayload(capacity: max(Self.capacityMin, expectedBytes), from: pool)
            begun = fresh
            return fresh
        }

        /// Takes what was added since the last call; nil if nothing was.
        func takePayload() -> SharePayload? {
            defer { begun = nil }
            return begun
        }

        private static let capacityMin = 16 << 10
    }

    private let workers: Set<WorkerName>
    private var map: SlotMap
    private var shares: [Share]
    /// Index in `shares` by resource and slot, or `nobody`.
    private var table: [UInt16]
    private static let nobody = UInt16.max
    /// Bytes of the part of the log that is being added; 0 if unknown.
    private var spanBytes = 0

    /// Creates a builder for these workers only. `shareBytes` is the expected size of the first share of each; 0 if
    /// unknown.
    package init(for workers: Set<WorkerName>, map: SlotMap, pool: SharePool, shareBytes: Int = 0) {
        self.workers = workers
        self.map = map
        shares = workers.map { Share(worker: $0, expectedBytes: shareBytes, pool: pool) }
        table = Self.table(shares.map(\.worker), map)
    }

    /// Returns whether this builder can be reused for these workers.
    func serves(_ workers: Set<WorkerName>) -> Bool { self.workers == workers }

    /// Sets the slot map for the records that follow.
    mutating func use(_ map: SlotMap) {
        guard map != self.map else { return }
        self.map = map
        table = Self.table(shares.map(\.worker), map)
    }

    /// Announces the number of log bytes until the next `finish`. Shares allocate their expected size, with the same
    /// portion of the log as last time, and an eighth more.
    mutating func expect(_ logBytes: Int) {
        spanBytes = logBytes
        for share in shares { share.expectedBytes = Int(share.portion * Double(logBytes) * 1.125) }
    }

    private static func table(_ workers: [WorkerName], _ map: SlotMap) -> [UInt16] {
        var table = [UInt16](repeating: nobody, count: Resource.count * Slot.count)
        for (position, worker) in workers.enumerated() {
            for slot in map.slots(of: worker) {
                table[Int(worker.resource.rawValue) * Slot.count + Int(slot)] = UInt16(position)
            }
        }
        return table
    }

    /// Adds a barrier or a tick to all shares.
    mutating func addForAll(_ record: LogRecord) {
        let body = unsafe record.body
        for share in shares {
            let target = unsafe ShareRecord.append(
                record,
                bodyBytes: body.count,
                to: &share.payload.buffer
            )
            if let start = body.baseAddress {
                unsafe target.copyMemory(from: start, byteCount: body.count)
            }
        }
    }

    /// Adds a batch's events, which are in `events` from `first` on.
    package mutating func add(
        _ record: LogRecord,
        events: borrowing RoutedEvents,
        first: Int,
        count: Int
    ) {
        guard let body = unsafe record.body.baseAddress else { return }
        for index in first..<first + count {
            let event = events[index]
            let owner = table[Int(event.resource) * Slot.count + Int(event.slot)]
            if owner != Self.nobody { shares[Int(owner)].recordBytes += Int(event.length) }
        }
        for share in shares where share.recordBytes > 0 {
            unsafe share.target = unsafe ShareRecord.append(
                record,
                bodyBytes: share.recordBytes,
                to: &share.payload.buffer
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
                else {
                    break
                }
                end += Int(next.length)
                index += 1
            }
            guard owner != Self.nobody, let target = unsafe shares[Int(owner)].target else {
                continue
            }
            unsafe target.copyMemory(from: body + start, byteCount: end - start)
            unsafe shares[Int(owner)].target = unsafe target + (end - start)
        }
    }

    /// Returns what was added since the last call, by worker; empty shares are left out.
    package mutating func finish() -> [(worker: WorkerName, payload: SharePayload)] {
        defer { spanBytes = 0 }
        return shares.compactMap { share in
            let payload = share.takePayload()
            if spanBytes > 0 {
                share.portion = Double(payload?.buffer.count ?? 0) / Double(spanBytes)
            }
            return payload.map { (share.worker, $0) }
        }
    }
}
