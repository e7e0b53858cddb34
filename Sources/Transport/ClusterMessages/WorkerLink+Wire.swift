internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension WorkerLink: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__WorkerLink

    init(_ wire: borrowing Wire) throws(TraceError) {
        unsafe self.init(
            worker: unsafe try readWorker(wire.worker),
            connected: wire.connected != 0,
            lagBytes: wire.lag_bytes
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__worker_link__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.connected = connected ? 1 : 0
        unsafe wire.lag_bytes = lagBytes
        return unsafe wire
    }
}
