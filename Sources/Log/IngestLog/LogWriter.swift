internal import Glibc
package import SystemIO
package import TraceModel

/// Appends groups of records and makes them durable. Belongs to one thread; every call blocks.
package struct LogWriter: ~Copyable {
    private let directory: LogDirectory
    private let salt: UInt32
    private var file: File
    private var base: LSN
    private var capacity: Int
    /// The file's bytes that were full when it became the log's.
    private var filledAhead = 0
    private var chain: UInt32
    /// Every file's base, ascending; the last is the one written.
    private var bases: [LSN]
    private let preparer: SparePreparer
    /// Size of a log file, unless one group alone is larger.
    private let fileBytes: Int

    /// Where the next record goes: between two commits everything below is durable, but for a file's head
    /// that waits for the group behind it.
    package private(set) var end: LSN
    /// What records say is durable: the end as of the last sync.
    private var durable: LSN
    /// The totals of the last record.
    package private(set) var counts: LogCounts

    /// Begins a new file at the recovered end, so that nothing torn is ever written over.
    /// `fileBytes` is smaller than the default in tests.
    package init(
        directory: LogDirectory, salt: UInt32, recovery: LogRecovery, fileBytes: Int = Limits.logFileBytes
    ) throws(SystemError) {
        self.directory = directory
        self.salt = salt
        end = recovery.end
        durable = recovery.end
        counts = recovery.counts
        chain = recovery.lastCRC
        base = recovery.end
        self.fileBytes = fileBytes
        capacity = fileBytes
        preparer = SparePreparer(directory: directory, bytes: fileBytes)
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
        _ group: inout LogGroup, countsAt: (Int) -> LogCounts, head: (inout RawBuffer) -> Void
    ) throws(SystemError) {
        precondition(!group.isEmpty, "an empty group is not written")
        let bytes = group.byteCount
        if end != base, Int(end - base) + bytes > capacity { try roll(toFit: bytes) }
        if end == base { try writeHead(head) }
        let sealed = group.seal(from: end, previousCRC: chain, salt: salt, durable: durable, counts: countsAt)
        do throws(SystemError) {
            let place = Int(end - base)
            // A block that is only begun would be read from the disk first.
            let begun = (place + bytes) % File.blockBytes
            let room = max(0, capacity - place - bytes)
            let padding = begun == 0 ? 0 : min(File.blockBytes - begun, room)
            try file.write(group.bytes(padding: padding), at: place)
            try file.syncData()
            try checkFile()
        } catch {
            if error.isOutOfSpace { try forgetWritten() }
            throw error
        }
        counts = countsAt(group.offsets.count - 1)
        committed(group, chain: sealed)
    }

    /// The same for a group whose first record lies in `ahead`, which becomes the log's next file: the time this takes
    /// doesn't depend on the record's size, but for its checksum. Where the head outgrows its room there, the group is
    /// written as any other.
    /// - Throws: `SystemError`, out of space only in that case.
    package mutating func commit(
        _ group: inout LogGroup, ahead written: consuming AheadFile, countsAt: (Int) -> LogCounts,
        head: (inout RawBuffer) -> Void
    ) throws(SystemError) {
        var ahead = written
        var body = RawBuffer()
        head(&body)
        guard ahead.hasRoom(forHead: body.count), ahead.place + group.byteCount <= ahead.capacity else {
            ahead.discard()
            return try commit(&group, countsAt: countsAt, head: head)
        }
        var headGroup = headGroup(
            body.bytes, payloadBytes: ahead.place - LogRecord.headerBytes, fileBytes: ahead.capacity)
        let totals = counts
        let headCRC = headGroup.seal(
            from: end, previousCRC: chain, salt: salt, durable: durable, counts: { _ in totals })
        let sealed = group.seal(
            from: end + LSN(ahead.place), previousCRC: headCRC, salt: salt, durable: durable, counts: countsAt)
        do throws(SystemError) {
            try ahead.complete(head: headGroup.buffer.bytes, &group)
            // Over a file that has nothing but this name, where the log has only begun one. That the name lasts need not be
            // waited for: by its head the file is known under its old one, too.
            try ahead.file.rename(to: directory.file(base: end))
        } catch {
            // The file may be whole, and what its record says in the log; its blocks are there, so it is no lack of space.
            throw SystemError(errno: EIO, call: error.call, subject: error.subject)
        }
        adopt(ahead)
        try checkFile()
        counts = countsAt(group.offsets.count - 1)
        committed(group, chain: sealed)
    }

    /// The log goes on in a file that has its name already.
    private mutating func adopt(_ ahead: consuming AheadFile) {
        if end != base {
            // Nothing is written there any more, and the next file tells where this one ends. Space is all that is lost
            // where it stays as long as it is.
            try? file.truncate(to: Int(end - base))
            bases.append(end)
        }
        base = end
        capacity = ahead.capacity
        end += LSN(ahead.place)
        filledAhead = ahead.place + ahead.recordBytes
        file = ahead.file
    }

    private mutating func committed(_ group: borrowing LogGroup, chain sealed: UInt32) {
        chain = sealed
        end += LSN(group.byteCount)
        durable = end
        preparer.follow(Int(end - base) - filledAhead, of: capacity - filledAhead)
    }

    /// What a full disk took of a group must not be found by the next start, as its batches are refused: the first
    /// record loses its header. A disk that took nothing is left alone, as it won't take this either; where the
    /// header is there and can't be taken back, only a new start can tell what is in the log.
    private func forgetWritten() throws(SystemError) {
        let size = LogRecord.headerBytes
        let place = Int(end - base)
        var header = RawBuffer(capacity: size)
        do throws(SystemError) {
            let target = UnsafeMutableRawBufferPointer(start: header.reserve(size), count: size)
            header.commit(try file.read(into: target, at: place))
            guard header.bytes.contains(where: { $0 != 0 }) else { return }
            header.removeAll()
            for _ in 0..<size { header.append(byte: 0) }
            try file.write(header.bytes, at: place)
            try file.syncData()
        } catch { throw SystemError(errno: EIO, call: error.call, subject: error.subject) }
    }

    /// Whether every file is still where it was made, as far as names and the size of the one that is written tell. Blocks
    /// for some system calls.
    /// - Throws: `SystemError`, as `commit`, where one is not.
    package func check() throws(SystemError) {
        try checkFile()
        let found = Set(try directory.bases())
        guard let missing = bases.first(where: { !found.contains($0) }) else { return }
        throw Self.isGone(directory.file(base: missing))
    }

    /// What was written to a file that has no name any more, or was cut, is gone with the process.
    private func checkFile() throws(SystemError) {
        guard file.isAtItsPath, try file.size() >= capacity else { throw Self.isGone(file.path) }
    }

    private static func isGone(_ path: String) -> SystemError {
        SystemError(errno: ESTALE, call: "check", subject: path)
    }

    /// Writes the newest file anew under its name from what is still open, where that was removed or moved away, and was not
    /// cut. False where there is nothing to be done. Only before the process ends: this writer goes on in the old one. Blocks.
    package func restoreFile() throws(SystemError) -> Bool {
        guard !file.isAtItsPath, try file.size() >= capacity else { return false }
        let temporary = "\(directory.path)/restored.tmp"
        let copy = try File(temporary, .replace)
        try copy.truncate(to: capacity)
        var buffer = RawBuffer(capacity: 1 << 20)
        var at = 0
        while at < capacity {
            buffer.removeAll()
            let room = min(capacity - at, 1 << 20)
            let target = UnsafeMutableRawBufferPointer(start: buffer.reserve(room), count: room)
            buffer.commit(try file.read(into: target, at: at))
            try copy.write(buffer.bytes, at: at)
            at += room
        }
        try copy.syncData()
        try FileSystem.createDirectory(directory.path)
        try FileSystem.renameExclusively(temporary, to: file.path)
        try FileSystem.syncDirectory(directory.path)
        return true
    }

    /// Removes or recycles files that hold nothing at or above `lsn`.
    package mutating func trim(below lsn: LSN) throws(SystemError) {
        // Without a head in the newest file the one before it has the last.
        let kept = durable > base ? 1 : 2
        while bases.count > kept, bases[1] <= lsn {
            try preparer.recycle(directory.file(base: bases[0]))
            bases.removeFirst()
            // Oldest first on the disk too: a newer one missing would be a gap.
            try FileSystem.syncDirectory(directory.path)
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
        var group = headGroup(body.bytes, payloadBytes: body.count, fileBytes: capacity)
        let totals = counts
        let sealed = group.seal(from: end, previousCRC: chain, salt: salt, durable: durable, counts: { _ in totals })
        try file.write(group.buffer.bytes, at: 0)
        chain = sealed
        end += LSN(group.byteCount)
    }

    /// A head with this body and zeros behind it, which its readers leave alone.
    private func headGroup(_ body: UnsafeRawBufferPointer, payloadBytes: Int, fileBytes: Int) -> LogGroup {
        var group = LogGroup(capacity: payloadBytes + LogRecord.headerBytes + 8)
        let target = group.append(.fileHead, arrival: WallClock.now(), bodyBytes: payloadBytes)
        let payload = UnsafeMutableRawBufferPointer(start: target, count: payloadBytes)
        payload.copyMemory(from: body)
        UnsafeMutableRawBufferPointer(rebasing: payload[body.count...]).initializeMemory(as: UInt8.self, repeating: 0)
        group.setFileBytes(fileBytes)
        return group
    }

    private mutating func roll(toFit bytes: Int) throws(SystemError) {
        let needed = max(fileBytes, bytes + min(Limits.logFileHeadBytesMax, fileBytes / 2))
        do throws(SystemError) { file = try preparer.takeSpare(as: directory.file(base: end), bytes: needed) } catch {
            // A reader takes a file of this base for the one that goes on here.
            try FileSystem.remove(directory.file(base: end))
            throw error
        }
        base = end
        capacity = needed
        filledAhead = 0
        bases.append(end)
    }
}
