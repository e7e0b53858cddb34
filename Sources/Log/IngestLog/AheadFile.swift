package import SystemIO
import TraceModel

/// A log file whose large record is written before its LSN is known.
///
/// Writing a record of 100 MB takes the disk a fifth of a second, which would delay all later commits. Therefore its
/// bytes are written to a separate file first, which is not part of the log yet. `LogWriter.commit(_:ahead:…)` adds the
/// file's head and the record's header, which contain the LSN, and syncs: that makes it the log's next file. It is then
/// renamed accordingly; recovery does so if the process or the machine fails in between.
///
/// Layout: space for the head, `place` bytes; the record, starting at a block; zeros for later commits.
package struct AheadFile: ~Copyable {
    var file: File
    /// Offset of the record; the file's head fills the space before it.
    let place: Int
    /// Bytes of the record that are written.
    let recordBytes: Int
    let capacity: Int

    /// Returns whether a head of this size fits before the record.
    func hasRoom(forHead bytes: Int) -> Bool { LogRecord.headerBytes + bytes <= place }

    /// Writes the parts that depend on the record's LSN, and syncs the file. `head` is the head's record of `place`
    /// bytes. `group` starts with the record and may contain others after it.
    func complete(head: UnsafeRawBufferPointer, _ group: inout LogGroup) throws(SystemError) {
        precondition(head.count == place && group.byteCount >= recordBytes)
        precondition(recordBytes >= File.blockBytes, "a large record is several blocks long")
        let behind = place + group.byteCount
        let bytes = unsafe group.bytes(padding: File.padding(behind: behind))
        try unsafe file.write(head, at: 0)
        try unsafe file.write(
            UnsafeRawBufferPointer(rebasing: bytes[..<File.blockBytes]),
            at: place
        )
        if group.byteCount > recordBytes {
            // From the start of the block in which the record ends, as that block is written as a whole.
            let last = recordBytes / File.blockBytes * File.blockBytes
            try unsafe file.write(
                UnsafeRawBufferPointer(rebasing: bytes[last...]),
                at: place + last
            )
        }
        try file.syncData()
    }

    /// Removes the file: its record is not committed, or is written another way.
    package consuming func discard() {
        // A file that cannot be removed now is removed at the next start.
        try? FileSystem.remove(file.path)
    }
}

/// Writes ahead files of one log. One thread; blocks on the disk.
package struct AheadFileWriter {
    private let directory: LogDirectory
    /// Space after a record for the next commits, so that there is time to prepare the log's next file.
    private let tailBytes: Int
    private var number = 0

    /// Directory of the log.
    package var path: String { directory.path }

    /// Creates a writer; tests use a smaller `tailBytes`.
    package init(directory: LogDirectory, tailBytes: Int = Limits.logAheadTailBytes) {
        self.directory = directory
        self.tailBytes = tailBytes
    }

    /// Returns the disk space of a record of `recordBytes` with a head of `headBytes`.
    package func bytes(forRecord recordBytes: Int, headBytes: Int) -> Int {
        File.whole(LogRecord.headerBytes + headBytes) + File.whole(recordBytes + tailBytes)
    }

    /// Writes the only record of a group to a file, except for what depends on its LSN, and makes it durable. Writes in
    /// pieces so that other syncs get in between, and computes the payload's checksum, which would hold up the thread
    /// that commits it. `headBytes` is the maximum size of the file's head.
    /// - Throws: `SystemError`; the file is removed then.
    package mutating func write(
        _ group: inout LogGroup,
        headBytes: Int
    ) throws(SystemError) -> AheadFile {
        precondition(group.offsets.count == 1, "an ahead file is made for one record")
        group.sumFirstPayload()
        number += 1
        let path = directory.ahead(number)
        let place = File.whole(LogRecord.headerBytes + headBytes)
        let recordBytes = group.byteCount
        let capacity = bytes(forRecord: recordBytes, headBytes: headBytes)
        do throws(SystemError) {
            let file = try File(path, .replace)
            let zeros = Zeros()
            try zeros.write(place, to: file, at: 0)
            let record = unsafe group.bytes(padding: File.padding(behind: recordBytes))
            try unsafe file.writeInPieces(record, at: place)
            let behind = place + record.count
            try zeros.write(capacity - behind, to: file, at: behind)
            try file.syncData()
            // The commit does not have to wait for the directory entry.
            try FileSystem.syncDirectory(directory.path)
            return AheadFile(file: file, place: place, recordBytes: recordBytes, capacity: capacity)
        } catch {
            try? FileSystem.remove(path)
            throw error
        }
    }

    /// Recovers the files of a process that died: makes a completed one part of the log, and removes the others. Blocks
    /// until that is durable.
    static func recover(in directory: LogDirectory, salt: UInt32) throws(SystemError) {
        let names = try FileSystem.list(directory.path).filter(directory.isAhead)
        guard !names.isEmpty else { return }
        for name in names {
            let path = "\(directory.path)/\(name)"
            // The log may have started a file at that base. If it is a recycled one, it has the head of another base.
            if let base = try base(of: path, salt: salt),
                try self.base(of: directory.file(base: base), salt: salt) != base
            {
                try FileSystem.rename(path, to: directory.file(base: base))
            } else {
                try FileSystem.remove(path)
            }
        }
        try FileSystem.syncDirectory(directory.path)
    }

    /// Returns the base LSN in the file's head; nil if there is no file or no valid head.
    private static func base(of path: String, salt: UInt32) throws(SystemError) -> LSN? {
        guard FileSystem.exists(path) else { return nil }
        let file = try File(path, .read)
        var wanted = LogRecord.headerBytes
        while true {
            var buffer = RawBuffer(capacity: wanted)
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: buffer.reserve(wanted),
                count: wanted
            )
            unsafe buffer.commit(try file.read(into: target, at: 0))
            guard buffer.count == wanted, let start = unsafe buffer.bytes.baseAddress else {
                return nil
            }
            let record = unsafe LogRecord(base: start)
            switch unsafe RecordCheck.check(buffer.bytes, at: record.lsn, salt: salt) {
            case .valid: return record.type == .fileHead ? record.lsn : nil
            case .incomplete(let needed) where needed > wanted: wanted = needed
            case .incomplete, .invalid: return nil
            }
        }
    }
}

/// A block of zeros that is written repeatedly.
@safe
private struct Zeros: ~Copyable {
    private let block = UnsafeMutableRawBufferPointer.allocate(
        byteCount: File.directBytesUsual,
        alignment: File.blockBytes
    )

    init() { unsafe block.initializeMemory(as: UInt8.self, repeating: 0) }

    deinit { unsafe block.deallocate() }

    func write(_ count: Int, to file: borrowing File, at offset: Int) throws(SystemError) {
        var written = 0
        while written < count {
            let piece = unsafe min(block.count, count - written)
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: block[..<piece])
            try unsafe file.writeDirectly(bytes, at: offset + written)
            written += piece
        }
    }
}

extension File {
    /// Rounds a size up to whole blocks.
    fileprivate static func whole(_ bytes: Int) -> Int { bytes + padding(behind: bytes) }

    /// Returns the distance from a size to the end of its block.
    fileprivate static func padding(behind bytes: Int) -> Int {
        (blockBytes - bytes % blockBytes) % blockBytes
    }

    fileprivate borrowing func writeInPieces(
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let piece = min(Self.directBytesUsual, bytes.count - written)
            let range = written..<written + piece
            try unsafe writeDirectly(
                UnsafeRawBufferPointer(rebasing: bytes[range]),
                at: offset + written
            )
            written += piece
        }
    }
}
