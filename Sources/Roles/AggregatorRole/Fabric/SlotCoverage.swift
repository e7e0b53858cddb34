import ClusterMessages
import TraceModel

/// Whether the ranges that workers applied make a whole window: for each slot they join from its begin to
/// its barrier, whoever owned the slot when. Pure.
enum SlotCoverage: Equatable {
    case complete
    /// Something is still to be announced; the first slot that lacks it.
    case gap(slot: UInt8, at: LSN)
    /// Two workers applied the same records: a bug, and the window must not be merged.
    case overlap(slot: UInt8, at: LSN)

    /// `start` nil where the begin has been lost: then all slots must begin at one LSN. O(ranges log ranges).
    static func of(_ ranges: [SlotRange], from start: LSN?, to barrier: LSN) -> SlotCoverage {
        guard let start = start ?? ranges.map(\.fromLSN).min() else {
            return .gap(slot: 0, at: barrier)
        }
        var bySlot = [[SlotRange]](repeating: [], count: Slot.count)
        // An empty range covers nothing, and could not be put in order among its neighbours.
        for range in ranges where range.fromLSN < range.toLSN {
            for slot in range.slots { bySlot[Int(slot)].append(range) }
        }
        for slot in UInt8.min...UInt8.max {
            var reached = start
            for range in bySlot[Int(slot)].sorted(by: { $0.fromLSN < $1.fromLSN }) {
                if range.fromLSN > reached { return .gap(slot: slot, at: reached) }
                if range.fromLSN < reached { return .overlap(slot: slot, at: range.fromLSN) }
                reached = range.toLSN
            }
            if reached < barrier { return .gap(slot: slot, at: reached) }
            if reached > barrier { return .overlap(slot: slot, at: barrier) }
        }
        return .complete
    }
}
