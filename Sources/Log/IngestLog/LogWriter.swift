internal import Glibc
package import SystemIO
package import TraceModel

/// Appends groups of records to the log and makes them durable. One thread; every call blocks.
package struct LogWriter: ~Copyable {
    private let directory: LogDirectory
    private let salt: UInt32
    private var file: File
    private var base: LSN
    private var capacity: Int
    /// Bytes of the file that were used when it became part of the log (`AheadFile`).
    private var filledAhead = 0
    private var chain: UInt32
    /// Bases of all files, ascending; the last one is being written.
    private var bases: [LSN]
    private let preparer: SparePreparer
    private let oldFiles: OldLogFiles
    /// Size of a log file; a single group may be larger.
    private let fileBytes: Int

    /// LSN of the next record. Between two commits everything below it is durable, except for a file's head, which
    /// becomes durable with the group after it.
    package private(set) var end: LSN
    /// The durable LSN that records contain: the end as of the last sync.
    private var durable: LSN
    /// Totals of the last record.
    package private(set) var counts: LogCounts

    /// Starts a new file at the recovered end, so that an incomplete write is never overwritten. Tests use a smaller
    /// `fileBytes`.
    package init(
        directory: LogDirectory,
        salt: UInt32,
        recovery: LogRecovery,
        fileBytes: Int = Limits.logFileBytes
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
        oldFiles = OldLogFiles(directory: directory, preparer: preparer)
        try preparer.prepareNow()
        file = try preparer.takeSpare(as: directory.file(base: base), bytes: capacity)
        bases = recovery.bases.filter { $0 != recovery.end } + [recovery.end]
    }

    /// Takes bytes of the log that are written and not synced yet, and their LSN. Returns whether somebody else may have
    /// them from now on, so that they cannot be taken back.
    package typealias Copy = (UnsafeRawBufferPointer, LSN) -> Bool

    /// Seals the group, writes it at once, and syncs. The records are durable when it returns. `countsAt(i)` are the
    /// totals once the group's record i is in the log, `head` appends the contents of a new file's head.
    /// - Throws: `SystemError`. Out of space leaves the log unchanged, so that the caller may retry later. After any
    ///   other error the log must be reopened, because the state of the disk is unknown.
    package mutating func commit(
        _ group: inout LogGroup,
        countsAt: (Int) -> LogCounts,
        copy: Copy = { _, _ in false },
        head: (inout RawBuffer) -> Void
    ) throws(SystemError) {
        precondition(!group.isEmpty, "an empty group is not written")
        let bytes = group.byteCount
        if end != base, Int(end - base) + bytes > capacity {
            try syncHead()
            try roll(toFit: bytes)
        }
        if end == base { try unsafe writeHead(head, copy) }
        let sealed = group.seal(
            from: end,
            previousCRC: chain,
            salt: salt,
            durable: durable,
            counts: countsAt
        )
        var isCopied = false
        do throws(SystemError) {
            let place = Int(end - base)
            // Padded to a whole block, as the kernel would have to read a partial one from the disk first.
            let begun = (place + bytes) % File.blockBytes
            let room = max(0, capacity - place - bytes)
            let padding = begun == 0 ? 0 : min(File.blockBytes - begun, room)
            try unsafe file.write(group.bytes(padding: padding), at: place)
            isCopied = unsafe copy(group.buffer.bytes, end)
            try file.syncData()
            try checkFile()
        } catch {
            guard error.isOutOfSpace else { throw error }
            guard !isCopied else {
                throw SystemError(errno: EIO, call: error.call, subject: error.subject)
            }
            try forgetWritten()
            throw error
        }
        counts = countsAt(group.offsets.count - 1)
        committed(group, chain: sealed)
    }

    /// Commits a group whose first record is in `ahead`, which becomes the log's next file. The time does not depend on
    /// the record's size, except for its checksum. If the head does not fit there, the group is written like any other.
    /// - Throws: `SystemError`; out of space only in that case.
    package mutating func commit(
        _ group: inout LogGroup,
        ahead written: consuming AheadFile,
        countsAt: (Int) -> LogCounts,
        copy: Copy = { _, _ in false },
        head: (inout RawBuffer) -> Void
    ) throws(SystemError) {
        var ahead = written
        var body = RawBuffer()
        head(&body)
        guard ahead.hasRoom(forHead: body.count), ahead.place + group.byteCount <= ahead.capacity
        else {
            ahead.discard()
            return try unsafe commit(&group, countsAt: countsAt, copy: copy, head: head)
        }
        try syncHead()
        var headGroup = unsafe headGroup(
            body.bytes,
            payloadBytes: ahead.place - LogRecord.headerBytes,
            fileBytes: ahead.capacity
        )
        let totals = counts
        let headCRC = headGroup.seal(
            from: end,
            previousCRC: chain,
            salt: salt,
            durable: durable,
            counts: { _ in totals }
        )
        let sealed = group.seal(
            from: end + LSN(ahead.place),
            previousCRC: headCRC,
            salt: salt,
            durable: durable,
            counts: countsAt
        )
        _ = unsafe copy(headGroup.buffer.bytes, end)
        _ = unsafe copy(group.buffer.bytes, end + LSN(ahead.place))
        do throws(SystemError) {
            try unsafe ahead.complete(head: headGroup.buffer.bytes, &group)
            // May replace an empty file of this name, if the log has only started one. The rename need not be durable:
            // by its head the file is recognised under its old name too.
            try ahead.file.rename(to: directory.file(base: end))
        } catch {
            // The file may be complete, and its record part of the log. Its blocks are allocated, so this is not a lack
            // of space.
            throw SystemError(errno: EIO, call: error.call, subject: error.subject)
        }
        adopt(ahead)
        try checkFile()
        counts = countsAt(group.offsets.count - 1)
        committed(group, chain: sealed)
    }

    /// Continues the log in a file that has been renamed already.
    private mutating func adopt(_ ahead: consuming AheadFile) {
        if end != base {
            // Nothing is written to the old file any more, and the next file's base gives its end.
            oldFiles.cut(directory.file(base: base), to: Int(end - base))
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

    /// Erases the header of the first record after a full disk took part of a group, because the group's batches are
    /// refused and the next start must not find them. If the disk took nothing there is nothing to do, and it would not
    /// take this write either. If the header was written and cannot be erased, only a restart can tell what the log
    /// contains.
    private func forgetWritten() throws(SystemError) {
        let size = LogRecord.headerBytes
        let place = Int(end - base)
        var header = RawBuffer(capacity: size)
        do throws(SystemError) {
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: header.reserve(size),
                count: size
            )
            unsafe header.commit(try file.read(into: target, at: place))
            guard unsafe header.bytes.contains(where: { $0 != 0 }) else { return }
            header.removeAll()
            for _ in 0..<size { header.append(byte: 0) }
            try unsafe file.write(header.bytes, at: place)
            try file.syncData()
        } catch { throw SystemError(errno: EIO, call: error.call, subject: error.subject) }
    }

    /// Checks by name and, for the file being written, by size that every file is still in place. Blocks for some
    /// system calls.
    /// - Throws: `SystemError`, as `commit`, if a file is not.
    package func check() throws(SystemError) {
        try checkFile()
        let found = Set(try directory.bases())
        guard let missing = bases.first(where: { !found.contains($0) }) else { return }
        throw Self.isGone(directory.file(base: missing))
    }

    /// Bytes written to a file that was removed or cut would be lost with the process.
    private func checkFile() throws(SystemError) {
        guard file.isAtItsPath, try file.size() >= capacity else { throw Self.isGone(file.path) }
    }

    private static func isGone(_ path: String) -> SystemError {
        SystemError(errno: ESTALE, call: "check", subject: path)
    }

    /// Rewrites the newest file under its name from the open descriptor, if it was removed or moved but not cut.
    /// Returns false if there is nothing to do. Only before the process exits, because this writer keeps using the old
    /// file. Blocks.
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
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: buffer.reserve(room),
                count: room
            )
            unsafe buffer.commit(try file.read(into: target, at: at))
            try unsafe copy.write(buffer.bytes, at: at)
            at += room
        }
        try copy.syncData()
        try FileSystem.createDirectory(directory.path)
        try FileSystem.renameExclusively(temporary, to: file.path)
        try FileSystem.syncDirectory(directory.path)
        return true
    }

    /// Removes or recycles files without records at or above `lsn`. Returns at once: a thread of their own does it.
    /// - Throws: the `SystemError` of an earlier removal, which will be tried again.
    package mutating func trim(below lsn: LSN) throws(SystemError) {
        // If the newest file has no head yet, the file before it has the last one.
        let kept = durable > base ? 1 : 2
        while bases.count > kept, bases[1] <= lsn {
            oldFiles.remove(directory.file(base: bases.removeFirst()))
        }
        if let failure = oldFiles.takeFailure() { throw failure }
    }

    /// Waits until old files are removed and cut; for tests.
    package func finishOldFiles() { oldFiles.finish() }

    /// The oldest LSN in the log.
    package var begin: LSN { bases[0] }

    /// Stops the background work; the last call.
    package func close() {
        oldFiles.finish()
        preparer.stop()
    }

    /// Writes the first record of a file; it becomes durable together with the group after it.
    private mutating func writeHead(
        _ fill: (inout RawBuffer) -> Void,
        _ copy: Copy
    ) throws(SystemError) {
        var body = RawBuffer()
        fill(&body)
        var group = unsafe headGroup(body.bytes, payloadBytes: body.count, fileBytes: capacity)
        let totals = counts
        let sealed = group.seal(
            from: end,
            previousCRC: chain,
            salt: salt,
            durable: durable,
            counts: { _ in totals }
        )
        try unsafe file.write(group.buffer.bytes, at: 0)
        _ = unsafe copy(group.buffer.bytes, end)
        chain = sealed
        end += LSN(group.byteCount)
    }

    /// Returns a head with this body followed by zeros, which readers ignore.
    private func headGroup(
        _ body: UnsafeRawBufferPointer,
        payloadBytes: Int,
        fileBytes: Int
    ) -> LogGroup {
        var group = LogGroup(capacity: payloadBytes + LogRecord.headerBytes + 8)
        let target = unsafe group.append(
            .fileHead,
            arrival: WallClock.now(),
            bodyBytes: payloadBytes
        )
        let payload = unsafe UnsafeMutableRawBufferPointer(start: target, count: payloadBytes)
        unsafe payload.copyMemory(from: body)
        unsafe UnsafeMutableRawBufferPointer(rebasing: payload[body.count...]).initializeMemory(
            as: UInt8.self,
            repeating: 0
        )
        group.setFileBytes(fileBytes)
        return group
    }

    /// Makes the file's head durable if the group after it did not fit on the disk, before another file continues the
    /// log: if only that one survived a power failure, it would not be known to belong to the log.
    private mutating func syncHead() throws(SystemError) {
        guard durable < end else { return }
        do throws(SystemError) { try file.syncData() } catch {
            throw SystemError(errno: EIO, call: error.call, subject: error.subject)
        }
        durable = end
    }

    private mutating func roll(toFit bytes: Int) throws(SystemError) {
        let needed = max(fileBytes, bytes + min(Limits.logFileHeadBytesMax, fileBytes / 2))
        do throws(SystemError) {
            file = try preparer.takeSpare(as: directory.file(base: end), bytes: needed)
        } catch {
            // A reader that finds a file of this base expects the log to continue there.
            try FileSystem.remove(directory.file(base: end))
            throw error
        }
        base = end
        capacity = needed
        filledAhead = 0
        bases.append(end)
    }
}
