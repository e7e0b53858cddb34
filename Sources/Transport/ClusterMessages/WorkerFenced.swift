internal import CTraceProtos
package import TraceModel

/// Router to worker: it can't be served, as when a newer incarnation has said hello; the receiver has to end
/// itself.
package struct WorkerFenced: Sendable, Equatable {
    package var worker: WorkerName
    /// The one that has to go.
    package var incarnation: UInt64
    package var reason: String
    /// The log does not hold what it would go on from: another start changes nothing.
    package var isLost: Bool

    package init(worker: WorkerName, incarnation: UInt64, reason: String, isLost: Bool = false) {
        self.worker = worker
        self.incarnation = incarnation
        self.reason = reason
        self.isLost = isLost
    }
}

extension WorkerFenced: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__WorkerFenced

    static var unpack: Unpack { unsafe trace_processor__cluster__worker_fenced__unpack }
    static var free: Free { unsafe trace_processor__cluster__worker_fenced__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        worker = unsafe try readWorker(wire.worker)
        incarnation = unsafe wire.incarnation
        reason = unsafe try readText(wire.reason)
        isLost = unsafe wire.lost != 0
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__worker_fenced__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.incarnation = incarnation
        unsafe wire.reason = arena.text(reason)
        unsafe wire.lost = isLost ? 1 : 0
        return unsafe wire
    }
}
