package import TraceModel

/// One finished run of a closed window, as a worker announces it.
package struct ClosedRun: Sendable, Equatable {
    /// Below the data directory.
    package let path: String
    /// Runs are merged in the order (order, worker, serial) where their keys are equal.
    package let order: LSN
    package let serial: UInt64
    package let rows: UInt64
    /// Size of the file.
    package let bytes: UInt64
    package let firstTs: EpochNanoseconds
    package let lastTs: EpochNanoseconds
}
