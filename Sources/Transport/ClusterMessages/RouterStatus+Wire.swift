internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension RouterStatus: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__RouterStatus

    static var unpack: Unpack { unsafe trace_processor__cluster__router_status__unpack }
    static var free: Free { unsafe trace_processor__cluster__router_status__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        unsafe self.init(
            headLSN: wire.head_lsn,
            receivedEvents: wire.received_events,
            deduplicatedEvents: wire.deduplicated_events,
            rejectedEvents: wire.rejected_events,
            deadLetteredEvents: wire.dead_lettered_events,
            workers: unsafe try readMessages(wire.n_workers, wire.workers),
            window: wire.window,
            draining: wire.draining != 0,
            accepting: wire.accepting != 0,
            uncertainEvents: wire.uncertain_events
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__router_status__init(&wire)
        unsafe wire.head_lsn = headLSN
        unsafe wire.received_events = receivedEvents
        unsafe wire.deduplicated_events = deduplicatedEvents
        unsafe wire.rejected_events = rejectedEvents
        unsafe wire.dead_lettered_events = deadLetteredEvents
        unsafe wire.n_workers = workers.count
        unsafe wire.workers = arena.messages(workers)
        unsafe wire.window = window
        unsafe wire.draining = draining ? 1 : 0
        unsafe wire.accepting = accepting ? 1 : 0
        unsafe wire.uncertain_events = uncertainEvents
        return unsafe wire
    }
}
