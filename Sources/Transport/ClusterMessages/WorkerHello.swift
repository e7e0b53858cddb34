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
