import SystemIO
import TraceFiles
import TraceModel

/// Prefetches the state of a batch's next events, one pointer hop per stage, so that `apply` does not miss the cache.
/// Consecutive stages are `distance` events apart, so that a line has arrived before the next stage follows it.
struct Prefetcher<Model: ProcessModel & ~Copyable>: ~Copyable {
    /// The prefetch state of one event.
    private struct Found: BitwiseCopyable {
        var entry: ProcessTable<Model>.Entry?
        /// The model's result of the stages so far.
        var state = 0
    }

    /// The number of events that the first stage is ahead of `apply`.
    static var lead: Int { Model.looks > 0 ? (Model.looks + 1) * distance : 0 }
    private static var distance: Int { 4 }
    /// The size of the ring: a power of two above `lead`.
    private static var ringCount: Int { Model.looks > 0 ? 32 : 1 }

    /// Prefetch state, indexed by event position modulo `ringCount`.
    private let ring = UnsafeMutablePointer<Found>.allocate(capacity: Self.ringCount)
    private let host: HostID
    /// The number of processes evicted when the ring was filled; if it changes, pointers in the ring are stale.
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

    /// Runs each stage once: the first for the event at `place` + `lead`, the last for the one at `place` +
    /// `distance`.
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
        if table.isLarge, first &+ Self.distance < buffer.count {
            table.prefetchCell(host: host, pid: buffer[first &+ Self.distance].pid)
        }
        if first < buffer.count { begin(first, buffer[first].pid, table) }
        // Unrolled, so that the compiler specialises each stage.
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

    /// Returns the prefetch result for the event at `place`; -1 if there is none.
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
