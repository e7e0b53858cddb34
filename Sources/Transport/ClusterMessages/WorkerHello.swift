internal import CTraceProtos
package import TraceModel

/// Worker to router, at connect: where it wants its records from.
package struct WorkerHello: Sendable, Equatable {
    package var worker: WorkerName
    /// Grows with each start of the process.
    package var incarnation: UInt64
    package var pid: UInt32
    /// The first record it has not applied.
    package var resumeLSN: LSN
    /// Up to here its checkpoint is durable.
    package var checkpointLSN: LSN
    /// The record that has ended this worker too often, if one has.
    package var claim: Claim?

    package struct Claim: Sendable, Equatable {
        package var lsn: LSN
        /// How, in words for the operator; not empty.
        package var reason: String

        package init(lsn: LSN, reason: String) {
            precondition(!reason.isEmpty)
            self.lsn = lsn
            self.reason = reason
        }
    }

    package init(
        worker: WorkerName, incarnation: UInt64, pid: UInt32, resumeLSN: LSN, checkpointLSN: LSN, claim: Claim? = nil
    ) {
        self.worker = worker
        self.incarnation = incarnation
        self.pid = pid
        self.resumeLSN = resumeLSN
        self.checkpointLSN = checkpointLSN
        self.claim = claim
    }
}

extension WorkerHello: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__WorkerHello

    static var unpack: Unpack { unsafe trace_processor__cluster__worker_hello__unpack }
    static var free: Free { unsafe trace_processor__cluster__worker_hello__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        worker = unsafe try readWorker(wire.worker)
        incarnation = unsafe wire.incarnation
        pid = unsafe wire.pid
        resumeLSN = unsafe wire.resume_lsn
        checkpointLSN = unsafe wire.checkpoint_lsn
        let reason = unsafe try readText(wire.claim_reason)
        claim = reason.isEmpty ? nil : Claim(lsn: unsafe wire.claim_lsn, reason: reason)
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__worker_hello__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.incarnation = incarnation
        unsafe wire.pid = pid
        unsafe wire.resume_lsn = resumeLSN
        unsafe wire.checkpoint_lsn = checkpointLSN
        if let claim {
            unsafe wire.claim_lsn = claim.lsn
            unsafe wire.claim_reason = arena.text(claim.reason)
        }
        return unsafe wire
    }
}

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
        let found = unsafe Array(UnsafeBufferPointer(start: wire.owners, count: wire.n_owners))
        guard found.count == Slot.count, found.allSatisfy({ $0 < Limits.workersPerResourceMax }) else {
            throw TraceError(.corrupt, "a slot map is out of shape")
        }
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
