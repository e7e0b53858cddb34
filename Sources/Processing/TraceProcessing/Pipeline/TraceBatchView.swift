package import TraceFiles
package import TraceModel

/// A worker's share of one batch, borrowed: the events' bytes, their host, and their arrival.
package struct TraceBatchView {
    /// A valid `TraceBatch` with nothing but the worker's events.
    package let bytes: UnsafeRawBufferPointer
    package let host: HostID
    package let hostHash: UInt64
    package let arrival: EpochNanoseconds
    package let lsn: LSN
    /// The semantics of the events' fields.
    package let semantics: Semantics

    package init(
        bytes: UnsafeRawBufferPointer,
        host: HostID,
        hostHash: UInt64,
        arrival: EpochNanoseconds,
        lsn: LSN,
        semantics: Semantics
    ) {
        self.bytes = bytes
        self.host = host
        self.hostHash = hostHash
        self.arrival = arrival
        self.lsn = lsn
        self.semantics = semantics
    }
}
