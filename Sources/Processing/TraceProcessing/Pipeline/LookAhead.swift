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
    /// More than `lead`, a power of two.
    private static var ringCount: Int { Model.looks > 0 ? 32 : 1 }

    /// Of the events being looked at, by their places.
    private let ring = UnsafeMutablePointer<Found>.allocate(capacity: Self.ringCount)
    private let host: HostID
    /// How many processes had gone when the ring was filled: their entries are not there any more.
    private var processesGone: Int

    init(host: HostID, processesGone: Int) {
        self.host = host
        self.processesGone = processesGone
        ring.initialize(repeating: Found(), count: Self.ringCount)
    }

    deinit { ring.deallocate() }

    @inline(__always) private func found(at place: Int) -> UnsafeMutablePointer<Found> {
        ring + (place & (Self.ringCount - 1))
    }

    /// One step for each look: the last one is at the event in `place` + `distance`, the first at the one in `place` +
    /// `lead`.
    @inline(__always) mutating func step(
        to place: Int,
        in buffer: borrowing EventBuffer<Model.Event>,
        _ table: borrowing ProcessTable<Model>,
        _ totals: UnsafeMutablePointer<SlotTotals>,
        processesGone: Int
    ) {
        if processesGone != self.processesGone {
            self.processesGone = processesGone
            ring.update(repeating: Found(), count: Self.ringCount)
        }
        let first = place &+ Self.lead
        if first < buffer.count { begin(first, buffer[first].pid, table) }
        // One by one, so that each is compiled for itself.
        if Model.looks > 0 { look(0, from: first, in: buffer, totals) }
        if Model.looks > 1 { look(1, from: first, in: buffer, totals) }
        if Model.looks > 2 { look(2, from: first, in: buffer, totals) }
        if Model.looks > 3 { look(3, from: first, in: buffer, totals) }
    }

    @inline(__always) private func look(
        _ look: Int,
        from first: Int,
        in buffer: borrowing EventBuffer<Model.Event>,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) {
        let place = first &- (look &+ 1) &* Self.distance
        guard place >= 0, place < buffer.count else { return }
        let found = found(at: place)
        guard let entry = found.pointee.entry else { return }
        if look == 0 {
            prefetch(entry.pointee.activity)
            prefetch(totals + Int(entry.pointee.slot))
        }
        found.pointee.state = entry.pointee.model.lookAhead(
            look,
            at: buffer.event(buffer[place]),
            found.pointee.state
        )
    }

    /// What the looks at the event in `place` have found; -1 where there were none.
    @inline(__always) func result(_ place: Int) -> Int {
        guard Model.looks > 0, found(at: place).pointee.entry != nil else { return -1 }
        return found(at: place).pointee.state
    }

    @inline(__always) private mutating func begin(
        _ place: Int,
        _ pid: UInt32,
        _ table: borrowing ProcessTable<Model>
    ) {
        let entry = table.probable(host: host, pid: pid)
        found(at: place).pointee = Found(entry: entry)
        if let entry { prefetch(entry, byteCount: MemoryLayout<ProcessEntry<Model>>.size) }
    }
}
