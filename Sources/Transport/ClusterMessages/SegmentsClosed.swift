internal import CTraceProtos
package import TraceModel

/// Worker to aggregator: what a window left in its segments, once its checkpoint at the barrier is
/// durable, and again until merged.
package struct SegmentsClosed: Sendable, Equatable {
    package var worker: WorkerName
    package var window: UInt64
    package var barrierLSN: LSN
    /// The names' common part, from the barrier: `YYYYmmdd_HHMMSS` or `YYYYmmdd_HHMMSS_n`.
    package var stem: String
    package var slots: [SlotRange]
    /// The list of `ClosedFile`, as TraceFiles encodes it; empty where the window left no rows.
    package var files: [UInt8]
    /// The window's summary, encoded by the worker.
    package var summary: [UInt8]

    package init(
        worker: WorkerName,
        window: UInt64,
        barrierLSN: LSN,
        stem: String,
        slots: [SlotRange],
        files: [UInt8],
        summary: [UInt8]
    ) {
        self.worker = worker
        self.window = window
        self.barrierLSN = barrierLSN
        self.stem = stem
        self.slots = slots
        self.files = files
        self.summary = summary
    }
}

extension SegmentsClosed: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__SegmentsClosed

    static var unpack: Unpack { unsafe trace_processor__cluster__segments_closed__unpack }
    static var free: Free { unsafe trace_processor__cluster__segments_closed__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        worker = unsafe try readWorker(wire.worker)
        window = unsafe wire.window
        barrierLSN = unsafe wire.barrier_lsn
        stem = unsafe try readText(wire.stem)
        slots = unsafe try readMessages(wire.n_slots, wire.slots)
        files = unsafe Array(UnsafeRawBufferPointer(start: wire.files.data, count: wire.files.len))
        summary = unsafe Array(
            UnsafeRawBufferPointer(start: wire.summary.data, count: wire.summary.len)
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__segments_closed__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.window = window
        unsafe wire.barrier_lsn = barrierLSN
        unsafe wire.stem = arena.text(stem)
        unsafe wire.n_slots = slots.count
        unsafe wire.slots = arena.messages(slots)
        unsafe wire.files.len = files.count
        unsafe wire.files.data = arena.array(files)
        unsafe wire.summary.len = summary.count
        unsafe wire.summary.data = arena.array(summary)
        return unsafe wire
    }
}
