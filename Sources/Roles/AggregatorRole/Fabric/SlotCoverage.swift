import ClusterMessages
import TraceModel

/// Result of checking whether the ranges that workers applied form a complete window. A window is complete if each
/// slot's ranges join from the window's begin to its barrier, whichever workers owned the slot meanwhile. Pure.
enum SlotCoverage: Equatable {
    case complete
    /// An announcement is missing; the first slot that has a gap.
    case gap(slot: UInt8, at: LSN)
    /// Two workers applied the same records. This is a bug, and the window must not be merged.
    case overlap(slot: UInt8, at: LSN)

    /// Checks the ranges. `start` is nil if the window's begin is lost; then all slots must begin at the same LSN.
    /// O(ranges log ranges).
    static func of(_ ranges: [SlotRange], from start: LSN?, to barrier: LSN) -> SlotCoverage {
        guard let start = start ?? ranges.map(\.fromLSN).min() else {
            return .gap(slot: 0, at: barrier)
        }
        var bySlot = [[SlotRange]](repeating: [], count: Slot.count)
        // An empty range covers nothing and has no defined position among its neighbours.
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
