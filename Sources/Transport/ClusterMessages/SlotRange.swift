internal import CTraceProtos
package import TraceModel

/// A window's log range that a worker applied to some neighbouring slots.
package struct SlotRange: Sendable, Equatable {
    package var slots: ClosedRange<UInt8>
    package var fromLSN: LSN
    /// Behind the last record, so that neighbours join where one's end is the other's begin.
    package var toLSN: LSN

    package init(slots: ClosedRange<UInt8>, fromLSN: LSN, toLSN: LSN) {
        self.slots = slots
        self.fromLSN = fromLSN
        self.toLSN = toLSN
    }
}

extension SlotRange: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__SlotRange

    init(_ wire: borrowing Wire) throws(TraceError) {
        let first = unsafe try readSlot(wire.slot_first)
        let last = unsafe try readSlot(wire.slot_last)
        guard first <= last, unsafe wire.from_lsn <= wire.to_lsn else {
            throw TraceError(.corrupt, "a slot range ends before it begins")
        }
        slots = first...last
        fromLSN = unsafe wire.from_lsn
        toLSN = unsafe wire.to_lsn
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__slot_range__init(&wire)
        unsafe wire.slot_first = UInt32(slots.lowerBound)
        unsafe wire.slot_last = UInt32(slots.upperBound)
        unsafe wire.from_lsn = fromLSN
        unsafe wire.to_lsn = toLSN
        return unsafe wire
    }
}
