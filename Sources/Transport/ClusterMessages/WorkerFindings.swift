internal import CTraceProtos
package import TraceModel

/// Worker to aggregator: findings of one window, soon after they were raised. A message that is lost is not repeated,
/// because the window's file will have its findings.
package struct WorkerFindings: Sendable, Equatable {
    package var worker: WorkerName
    /// Increases with each start of the process.
    package var incarnation: UInt64
    package var window: UInt64
    /// The number of the first one among the worker's findings in the window. A worker that repeats records after a
    /// restart gives its findings the same numbers.
    package var first: UInt64
    /// One line of JSON for each, as the anomalies file has it.
    package var lines: [UInt8]

    package init(
        worker: WorkerName,
        incarnation: UInt64,
        window: UInt64,
        first: UInt64,
        lines: [UInt8]
    ) {
        self.worker = worker
        self.incarnation = incarnation
        self.window = window
        self.first = first
        self.lines = lines
    }
}

extension WorkerFindings: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__Findings

    static var unpack: Unpack { unsafe trace_processor__cluster__findings__unpack }
    static var free: Free { unsafe trace_processor__cluster__findings__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        worker = unsafe try readWorker(wire.worker)
        incarnation = unsafe wire.incarnation
        window = unsafe wire.window
        first = unsafe wire.first
        lines = unsafe Array(UnsafeRawBufferPointer(start: wire.lines.data, count: wire.lines.len))
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__findings__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.incarnation = incarnation
        unsafe wire.window = window
        unsafe wire.first = first
        unsafe wire.lines.len = lines.count
        unsafe wire.lines.data = arena.array(lines)
        return unsafe wire
    }
}
