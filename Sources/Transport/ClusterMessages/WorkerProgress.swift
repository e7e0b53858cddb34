internal import CTraceProtos
package import TraceModel

/// Worker to router, after each applied share and once a second: its progress, which returns credit, the bytes it has
/// written, and a sign of life.
package struct WorkerProgress: Sendable, Equatable {
    package var worker: WorkerName
    /// Increases with each start of the process.
    package var incarnation: UInt64
    package var appliedLSN: LSN
    /// End of the durable checkpoint.
    package var checkpointLSN: LSN
    /// The window that receives its rows.
    package var window: UInt64
    /// Bytes of that window's rows, written or buffered.
    package var windowBytes: UInt64
    /// Upper bound of the bytes that merging its part of one unmerged window can write.
    package var mergeBytes: UInt64

    package init(
        worker: WorkerName,
        incarnation: UInt64,
        appliedLSN: LSN,
        checkpointLSN: LSN,
        window: UInt64,
        windowBytes: UInt64,
        mergeBytes: UInt64
    ) {
        self.worker = worker
        self.incarnation = incarnation
        self.appliedLSN = appliedLSN
        self.checkpointLSN = checkpointLSN
        self.window = window
        self.windowBytes = windowBytes
        self.mergeBytes = mergeBytes
    }
}

extension WorkerProgress: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__WorkerProgress

    static var unpack: Unpack { unsafe trace_processor__cluster__worker_progress__unpack }
    static var free: Free { unsafe trace_processor__cluster__worker_progress__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        worker = unsafe try readWorker(wire.worker)
        incarnation = unsafe wire.incarnation
        appliedLSN = unsafe wire.applied_lsn
        checkpointLSN = unsafe wire.checkpoint_lsn
        window = unsafe wire.window
        windowBytes = unsafe wire.window_bytes
        mergeBytes = unsafe wire.merge_bytes
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__worker_progress__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.incarnation = incarnation
        unsafe wire.applied_lsn = appliedLSN
        unsafe wire.checkpoint_lsn = checkpointLSN
        unsafe wire.window = window
        unsafe wire.window_bytes = windowBytes
        unsafe wire.merge_bytes = mergeBytes
        return unsafe wire
    }
}

/// Router to worker: the header of a share. The records follow as the next frame.
package struct ShareHeader: Sendable, Equatable {
    package var fromLSN: LSN
    /// Position after the last record of the commit group, where the next share starts.
    package var toLSN: LSN
    /// The log's durable end; its distance from `toLSN` is the receiver's lag.
    package var headLSN: LSN

    package init(fromLSN: LSN, toLSN: LSN, headLSN: LSN) {
        self.fromLSN = fromLSN
        self.toLSN = toLSN
        self.headLSN = headLSN
    }
}

extension ShareHeader: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__ShareHeader

    static var unpack: Unpack { unsafe trace_processor__cluster__share_header__unpack }
    static var free: Free { unsafe trace_processor__cluster__share_header__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        fromLSN = unsafe wire.from_lsn
        toLSN = unsafe wire.to_lsn
        headLSN = unsafe wire.head_lsn
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__share_header__init(&wire)
        unsafe wire.from_lsn = fromLSN
        unsafe wire.to_lsn = toLSN
        unsafe wire.head_lsn = headLSN
        return unsafe wire
    }
}
