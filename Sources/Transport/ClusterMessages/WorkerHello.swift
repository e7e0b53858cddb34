internal import CTraceProtos
package import TraceModel

/// Worker to router, when it connects: where its records have to start.
package struct WorkerHello: Sendable, Equatable {
    package var worker: WorkerName
    /// Increases with each start of the process.
    package var incarnation: UInt64
    package var pid: UInt32
    /// The first record it has not applied.
    package var resumeLSN: LSN
    /// End of the durable checkpoint.
    package var checkpointLSN: LSN
    /// The record that has repeatedly crashed this worker, if any.
    package var claim: Claim?

    /// A record that the worker asks the router to leave out.
    package struct Claim: Sendable, Equatable {
        package var lsn: LSN
        /// Kind of the crash, in words for the operator; not empty.
        package var reason: String

        package init(lsn: LSN, reason: String) {
            precondition(!reason.isEmpty)
            self.lsn = lsn
            self.reason = reason
        }
    }

    package init(
        worker: WorkerName,
        incarnation: UInt64,
        pid: UInt32,
        resumeLSN: LSN,
        checkpointLSN: LSN,
        claim: Claim? = nil
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

/// Router to worker, in answer to its hello: where its records start, and the state of the log there.
package struct WorkerWelcome: Sendable, Equatable {
    package var lsn: LSN
    /// The window of the record at `lsn`, and its first LSN.
    package var window: UInt64
    package var windowBeginLSN: LSN
    /// Owner of each slot of the worker's resource.
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
        guard found.count == Slot.count, found.allSatisfy({ $0 < Limits.workersPerResourceMax })
        else {
            throw TraceError(.corrupt, "a slot map has the wrong size")
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

/// Router to worker: it cannot be served, for instance because a newer incarnation has said hello. The receiver has to
/// exit.
package struct WorkerFenced: Sendable, Equatable {
    package var worker: WorkerName
    /// The incarnation that has to exit.
    package var incarnation: UInt64
    package var reason: String
    /// The log no longer contains the records the worker needs, so that a restart would not help.
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
