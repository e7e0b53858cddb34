internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension SlotMetrics: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__SlotMetrics

    init(_ wire: borrowing Wire) throws(TraceError) {
        unsafe self.init(
            slot: try readSlot(wire.slot),
            lsn: wire.lsn,
            full: wire.full != 0,
            samples: unsafe try readMessages(wire.n_samples, wire.samples),
            expired: unsafe try readMessages(wire.n_expired, wire.expired)
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__slot_metrics__init(&wire)
        unsafe wire.slot = UInt32(slot)
        unsafe wire.lsn = lsn
        unsafe wire.full = full ? 1 : 0
        unsafe wire.n_samples = samples.count
        unsafe wire.samples = arena.messages(samples)
        unsafe wire.n_expired = expired.count
        unsafe wire.expired = arena.messages(expired)
        return unsafe wire
    }
}
