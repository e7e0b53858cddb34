/// The I/O of a process so far.
struct DiskCounters {
    /// Operations of one kind.
    struct Sum {
        private(set) var bytes: UInt64 = 0
        private(set) var operations: UInt64 = 0
        private var latencies: Int64 = 0

        mutating func add(_ operation: DiskOperation) {
            bytes += operation.bytes
            operations += 1
            latencies += operation.latency
        }

        /// Microseconds.
        var averageLatency: Double { operations == 0 ? 0 : Double(latencies) / Double(operations) }
    }

    private(set) var reads = Sum()
    private(set) var writes = Sum()

    mutating func note(_ operation: DiskOperation) {
        if operation.isRead { reads.add(operation) } else { writes.add(operation) }
    }
}
