internal import CTraceProtos
package import TraceModel

/// Router to worker, the answer to its hello: where its records begin, and what holds there.
package struct WorkerWelcome: Sendable, Equatable {
    package var lsn: LSN
    /// The window that a record at `lsn` belongs to, and where it begins.
    package var window: UInt64
    package var windowBeginLSN: LSN
    /// The owners of the worker's resource, by slot.
    package var owners: [UInt16]

    package init(lsn: LSN, window: UInt64, windowBeginLSN: LSN, owners: [UInt16]) {
        self.lsn = lsn
        self.window = window
        self.windowBeginLSN = windowBeginLSN
        self.owners = owners
    }
}

extension WorkerWelcome: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__WorkerWelcome

    static var unpack: Unpack { unsafe trace_processor__cluster__worker_welcome__unpack }
    static var free: Free { unsafe trace_processor__cluster__worker_welcome__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        lsn = unsafe wire.lsn
        window = unsafe wire.window
        windowBeginLSN = unsafe wire.window_begin_lsn
        let found = unsafe Array(
            UnsafeBufferPointer(start: wire.owners, count: wire.n_owners)
        )
        guard found.count == Slot.count, found.allSatisfy({ $0 < Limits.workersPerResourceMax })
        else { throw TraceError(.corrupt, "a slot map is out of shape") }
        owners = found.map { UInt16($0) }
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__worker_welcome__init(&wire)
        unsafe wire.lsn = lsn
        unsafe wire.window = window
        unsafe wire.window_begin_lsn = windowBeginLSN
        unsafe wire.n_owners = owners.count
        unsafe wire.owners = arena.array(owners.map { UInt32($0) })
        return unsafe wire
    }
}
