package import SystemIO
package import TraceModel

/// Appends groups of records and makes them durable. Belongs to one thread; every call blocks.
package struct LogWriter: ~Copyable {
    private let directory: LogDirectory
    private let salt: UInt32
    private var file: File
    private var base: LSN
    private var capacity: Int
    private var chain: UInt32
    /// Every file's base, ascending; the last is the one written.
    private var bases: [LSN]
    private let preparer: SparePreparer

    /// Where the next record goes: everything below is durable.
    package private(set) var end: LSN
    /// The totals of the last record.
    package private(set) var counts: LogCounts

    /// Begins a new file at the recovered end, so that nothing torn is ever written over.
    package init(
        directory: LogDirectory,
        salt: UInt32,
        recovery: LogRecovery
    ) throws(SystemError) {
        self.directory = directory
        self.salt = salt
        end = recovery.end
        counts = recovery.counts
        chain = recovery.lastCRC
        base = recovery.end
        capacity = Limits.logFileBytes
        preparer = SparePreparer(directory: directory, bytes: Limits.logFileBytes)
        try preparer.prepareNow()
        file = try preparer.takeSpare(as: directory.file(base: base), bytes: capacity)
        bases = recovery.bases.filter { $0 != recovery.end } + [recovery.end]
    }

    /// Seals the group, writes it in one go, and waits for the disk. When it returns the records are
    /// durable. `countsAt(i)` are the totals once the group's record i is in the log,
    /// `head` appends what the head of a new file carries.
    /// - Throws: `SystemError`; out of space leaves the log as it was, so that the caller may try again
    ///   later. After any other error the log must be reopened: the disk's state is unknown.
    package mutating func commit(
        _ group: inout LogGroup,
        countsAt: (Int) -> LogCounts,
        head: (inout RawBuffer) -> Void
    ) throws(SystemError) {
        precondition(!group.isEmpty, "an empty group is not written")
        let bytes = group.byteCount
        if end != base, Int(end - base) + bytes > capacity { try roll(toFit: bytes) }
        if end == base { try writeHead(head) }
        let sealed = group.seal(
            from: end,
            previousCRC: chain,
            salt: salt,
            durable: end,
            counts: countsAt
        )
        try file.write(group.buffer.bytes, at: Int(end - base))
        try file.syncData()
        counts = countsAt(group.offsets.count - 1)
        chain = sealed
        end += LSN(bytes)
        // Not at once: until half of this file is full a trimmed one may have become the spare.
        if Int(end - base) * 2 > capacity { preparer.prepareInBackground() }
    }

    /// Removes or recycles files that hold nothing at or above `lsn`.
    package mutating func trim(below lsn: LSN) throws(SystemError) {
        while bases.count >= 2, bases[1] <= lsn {
            try preparer.recycle(directory.file(base: bases[0]))
            bases.removeFirst()
        }
    }

    /// The oldest LSN still there.
    package var begin: LSN { bases[0] }

    /// Ends the background work; the last call.
    package func close() { preparer.stop() }

    /// The first record of a file; made durable together with the group behind it.
    private mutating func writeHead(_ fill: (inout RawBuffer) -> Void) throws(SystemError) {
        var body = RawBuffer()
        fill(&body)
        var group = LogGroup(capacity: body.count + LogRecord.headerBytes + 8)
        let target = group.append(.fileHead, arrival: WallClock.now(), bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body.bytes)
        let totals = counts
        let sealed = group.seal(
            from: end,
            previousCRC: chain,
            salt: salt,
            durable: end,
            counts: { _ in totals }
        )
        try file.write(group.buffer.bytes, at: 0)
        chain = sealed
        end += LSN(group.byteCount)
    }

    private mutating func roll(toFit bytes: Int) throws(SystemError) {
        let needed = max(Limits.logFileBytes, bytes + Limits.logFileHeadBytesMax)
        do throws(SystemError) {
            file = try preparer.takeSpare(as: directory.file(base: end), bytes: needed)
        } catch {
            // A reader takes a file of this base for the one that goes on here.
            try FileSystem.remove(directory.file(base: end))
            throw error
        }
        base = end
        capacity = needed
        bases.append(end)
    }
}
