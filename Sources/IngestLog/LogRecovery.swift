package import SystemIO
package import TraceModel

/// What a log holds when it is opened: where it ends and the totals its last record carries.
package struct LogRecovery: Sendable {
    /// Where the next record goes.
    package let end: LSN
    /// The oldest record still there.
    package let begin: LSN
    package let lastCRC: UInt32
    package let counts: LogCounts
    /// Bytes behind the end that belonged to a write that never finished.
    package let tornBytes: Int
    package let bases: [LSN]
    /// Ranges without valid records that were durable once.
    package let damaged: [Range<LSN>]

    /// Reads the log from its oldest record, hands each to `visit`, and syncs what it has read: after a
    /// crash of the process alone the page cache may hold more than the disk.
    /// Blocks; O(log). A record is valid only until `visit` returns.
    package static func run(
        _ directory: LogDirectory,
        salt: UInt32,
        visit: (LogRecord) -> Void
    ) throws(SystemError) -> LogRecovery {
        let bases = try directory.bases()
        guard let begin = bases.first, let newest = bases.last else {
            return LogRecovery(
                end: 0,
                begin: 0,
                lastCRC: 0,
                counts: LogCounts(),
                tornBytes: 0,
                bases: [],
                damaged: []
            )
        }
        var reader = LogReader(directory: directory, salt: salt, from: begin)
        var lastCRC: UInt32 = 0
        var counts = LogCounts()
        var damaged: [Range<LSN>] = []
        var stop: RecordCheck?
        while true {
            stop = try reader.advance(budget: 1 << 20)
            if stop != nil {
                guard let goesOn = try reader.findGoingOn() else { break }
                damaged.append(reader.position..<goesOn)
                reader.skip(to: goesOn)
                continue
            }
            for record in LogRecords(reader.records) {
                lastCRC = record.crc
                counts = record.counts
                visit(record)
            }
        }
        let file = try File(directory.file(base: newest), .readWrite)
        try file.syncData()
        var torn = 0
        if case .incomplete = stop { torn = try file.size() - Int(reader.position - newest) }
        return LogRecovery(
            end: reader.position,
            begin: begin,
            lastCRC: lastCRC,
            counts: counts,
            tornBytes: max(torn, 0),
            bases: bases.filter { $0 <= reader.position },
            damaged: damaged
        )
    }
}
