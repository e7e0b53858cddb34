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
    /// CRC-32C of the file, of a trace without its header, which the merge may write anew; nil where a version that knew
    /// no checksums began the run.
    package let checksum: UInt32?

    /// A checksum, or that there is none, as states and announcements hold it.
    static func encoded(_ checksum: UInt32?) -> UInt64 { checksum.map { 1 << 32 | UInt64($0) } ?? 0 }

    static func checksum(of encoded: UInt64) -> UInt32? {
        encoded >> 32 == 1 ? UInt32(truncatingIfNeeded: encoded) : nil
    }
}
