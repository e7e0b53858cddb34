internal import CTraceProtos
package import TraceModel

/// Worker to aggregator: the worker's segments of a window. Sent once its checkpoint at the barrier is durable, and
/// repeated until the window is merged.
package struct SegmentsClosed: Sendable, Equatable {
    package var worker: WorkerName
    package var window: UInt64
    package var barrierLSN: LSN
    /// Common part of the file names, from the barrier: `YYYYmmdd_HHMMSS` or `YYYYmmdd_HHMMSS_n`.
    package var stem: String
    package var slots: [SlotRange]
    /// The list of `ClosedFile` in TraceFiles' encoding; empty if the window has no rows.
    package var files: [UInt8]
    /// The window's summary in the worker's encoding.
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

/// The log range of a window that a worker applied to a range of slots.
package struct SlotRange: Sendable, Equatable {
    package var slots: ClosedRange<UInt8>
    package var fromLSN: LSN
    /// Position after the last record. Adjacent ranges join where one's end equals the other's start.
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
            throw TraceError(.corrupt, "a slot range ends before it starts")
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

/// Aggregator to worker and router: a resource's window is merged into its final files, or cannot be.
package struct WindowMerged: Sendable, Equatable {
    package var resource: Resource
    package var window: UInt64
    /// Paths of the final files relative to the data directory.
    package var files: [String]
    /// Reason why the merge failed; nil if it succeeded.
    package var failure: String?

    package init(resource: Resource, window: UInt64, files: [String], failure: String? = nil) {
        self.resource = resource
        self.window = window
        self.files = files
        self.failure = failure
    }
}

extension WindowMerged: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__WindowMerged

    static var unpack: Unpack { unsafe trace_processor__cluster__window_merged__unpack }
    static var free: Free { unsafe trace_processor__cluster__window_merged__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        resource = unsafe try readResource(wire.resource)
        window = unsafe wire.window
        files = unsafe try readTexts(wire.n_files, wire.files)
        let text = unsafe try readText(wire.failure)
        failure = text.isEmpty ? nil : text
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__window_merged__init(&wire)
        unsafe wire.resource = arena.text(resource.name)
        unsafe wire.window = window
        unsafe wire.n_files = files.count
        unsafe wire.files = arena.texts(files)
        unsafe wire.failure = arena.text(failure ?? "")
        return unsafe wire
    }
}
