import SystemIO
import TraceFiles
import TraceModel

/// State lies all over the memory: what the next events of a batch need is sent for before their turn comes, one link of
/// each chain of pointers at a time, instead of being waited for event by event. A link is `distance` events after
/// the one before it, so that it is there by then.
struct LookAhead<Model: ProcessModel & ~Copyable>: ~Copyable {
    private struct Found: BitwiseCopyable {
        var entry: ProcessTable<Model>.Entry?
        /// What the model has found so far.
        var state = 0
    }

    /// How many events the first look is ahead of `apply`.
    static var lead: Int { Model.looks > 0 ? (Model.looks + 1) * distance : 0 }
    private static var distance: Int { 4 }

    /// Of the events being looked at, by their places; more than `lead`, a power of two.
    private var ring = InlineArray<32, Found>(repeating: Found())
    private let host: HostID
    /// How many processes had gone when the ring was filled: their entries are not there any more.
    private var processesGone: Int

    init(host: HostID, processesGone: Int) {
        self.host = host
        self.processesGone = processesGone
    }

    /// One step for each look: the last one is at the event in `place` + `distance`, the first at the one in `place` +
    /// `lead`.
    @inline(__always)
    mutating func step(
        to place: Int,
        in buffer: borrowing EventBuffer<Model.Event>,
        _ table: borrowing ProcessTable<Model>,
        _ totals: UnsafeMutablePointer<SlotTotals>,
        processesGone: Int
    ) {
        if processesGone != self.processesGone {
            self.processesGone = processesGone
            ring = InlineArray(repeating: Found())
        }
        let first = place + Self.lead
        if first < buffer.count { begin(first, buffer[first].pid, table) }
        for look in 0..<Model.looks {
            let next = first - (look + 1) * Self.distance
            guard next >= 0, next < buffer.count, let entry = ring[next & 31].entry else {
                continue
            }
            if look == 0 {
                prefetch(entry.pointee.activity)
                prefetch(totals + Int(entry.pointee.slot))
            }
            ring[next & 31].state = entry.pointee.model.lookAhead(
                look,
                at: buffer.event(buffer[next]),
                ring[next & 31].state
            )
        }
    }

    @inline(__always)
    private mutating func begin(
        _ place: Int,
        _ pid: UInt32,
        _ table: borrowing ProcessTable<Model>
    ) {
        let entry = table.probable(host: host, pid: pid)
        ring[place & 31] = Found(entry: entry)
        if let entry { prefetch(entry, byteCount: MemoryLayout<ProcessEntry<Model>>.size) }
    }
}
