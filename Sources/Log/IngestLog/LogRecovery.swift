package import SystemIO
package import TraceModel

/// The state of a log when it is opened: its end and the totals of its last record.
package struct LogRecovery: Sendable {
    /// LSN of the next record.
    package let end: LSN
    /// LSN of the oldest record.
    package let begin: LSN
    package let lastCRC: UInt32
    package let counts: LogCounts
    /// Bytes after the end that belong to an incomplete write.
    package let tornBytes: Int
    package let bases: [LSN]
    /// Damaged ranges: without valid records, but once durable.
    package let damaged: [Range<LSN>]
    /// Evidence that the newest file was cut.
    package var cut: LogCut?

    /// Returns the log as continued at `lsn` after an accepted loss, with the totals known to have been reached.
    package func continued(at lsn: LSN, counts: LogCounts) -> LogRecovery {
        LogRecovery(
            end: lsn,
            begin: bases.isEmpty ? lsn : begin,
            lastCRC: lastCRC,
            counts: counts,
            tornBytes: tornBytes,
            bases: bases,
            damaged: damaged + [end..<lsn]
        )
    }

    /// Returns the log with totals that are known from elsewhere, because it holds no record.
    package func counting(_ counts: LogCounts) -> LogRecovery {
        LogRecovery(
            end: end,
            begin: begin,
            lastCRC: lastCRC,
            counts: counts,
            tornBytes: tornBytes,
            bases: bases,
            damaged: damaged,
            cut: cut
        )
    }

    /// Reads the log from its oldest record and passes each record to `visit`. Makes what it has read durable, because
    /// after a crash of the process the page cache may contain more than the disk. Blocks; O(log). A record is valid
    /// only during `visit`.
    package static func run(
        _ directory: LogDirectory,
        salt: UInt32,
        visit: (LogRecord) -> Void
    ) throws(SystemError) -> LogRecovery {
        try AheadFileWriter.recover(in: directory, salt: salt)
        let bases = try directory.bases()
        guard let begin = bases.first else {
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
        var lastDurable = begin
        var counts = LogCounts()
        var damaged: [Range<LSN>] = []
        while true {
            if try reader.advance(budget: 1 << 20) != nil {
                guard let goesOn = try reader.findGoingOn() else { break }
                damaged.append(reader.position..<goesOn)
                reader.skip(to: goesOn)
                continue
            }
            for record in unsafe LogRecords(reader.records) {
                lastCRC = record.crc
                lastDurable = record.durableLSN
                counts = record.counts
                visit(record)
            }
        }
        try rewrite(directory, bases, from: lastDurable, to: reader.position)
        return LogRecovery(
            end: reader.position,
            begin: begin,
            lastCRC: lastCRC,
            counts: counts,
            tornBytes: Int(try reader.findUnfinishedEnd() - reader.position),
            bases: bases.filter { $0 <= reader.position },
            damaged: damaged,
            cut: try directory.cut(endingAt: reader.position, salt: salt)
        )
    }

    /// Writes the last commit again in place, and syncs it. A sync alone is not enough: after a failed sync the kernel
    /// considers the unwritten pages clean, and the next sync reports no error.
    private static func rewrite(
        _ directory: LogDirectory,
        _ bases: [LSN],
        from durable: LSN,
        to end: LSN
    ) throws(SystemError) {
        // A commit never spans two files.
        guard let base = bases.last(where: { $0 < end }) else { return }
        let file = try File(directory.file(base: base), .readWrite)
        var buffer = RawBuffer(capacity: 1 << 20)
        var at = max(durable, base)
        while at < end {
            let count = Int(min(end - at, 1 << 20))
            buffer.removeAll()
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: buffer.reserve(count),
                count: count
            )
            unsafe buffer.commit(try file.read(into: target, at: Int(at - base)))
            try unsafe file.write(buffer.bytes, at: Int(at - base))
            at += LSN(count)
        }
        try file.syncData()
    }
}
