internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension MetricSnapshot: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__MetricSnapshot

    static var unpack: Unpack { unsafe trace_processor__cluster__metric_snapshot__unpack }
    static var free: Free { unsafe trace_processor__cluster__metric_snapshot__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        var status: RouterStatus?
        if let router = unsafe wire.router {
            status = unsafe try RouterStatus(router.pointee)
        }
        unsafe self.init(
            process: unsafe try readText(wire.process),
            incarnation: wire.incarnation,
            pid: wire.pid,
            appliedLSN: wire.applied_lsn,
            checkpointLSN: wire.checkpoint_lsn,
            headLSN: wire.head_lsn,
            own: unsafe try readMessages(wire.n_own, wire.own),
            router: status
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__metric_snapshot__init(&wire)
        unsafe wire.process = arena.text(process)
        unsafe wire.incarnation = incarnation
        unsafe wire.pid = pid
        unsafe wire.applied_lsn = appliedLSN
        unsafe wire.checkpoint_lsn = checkpointLSN
        unsafe wire.head_lsn = headLSN
        unsafe wire.n_own = own.count
        unsafe wire.own = arena.messages(own)
        if let router { unsafe wire.router = arena.place(router.wire(in: &arena)) }
        return unsafe wire
    }
}
