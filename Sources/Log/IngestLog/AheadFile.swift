package import SystemIO
import TraceModel

/// A log file whose large record is written before its place in the log is known.
///
/// A record of 100 MB takes the disk a fifth of a second, and whatever is committed behind it would wait for as long.
/// So its bytes are written to a file of their own first, which is none of the log's yet. `LogWriter.commit(_:ahead:…)`
/// adds the file's head and the record's header, which name its LSN, and syncs: from then on it is the log's next file. It is
/// renamed accordingly, and where its process or the machine ended before that, recovery does so.
///
/// File: room for the head, `place` bytes; the record, from a block's begin on; zeros for what is committed behind it.
package struct AheadFile: ~Copyable {
    var file: File
    /// Where the record begins; the file's head fills what is before it.
    let place: Int
    /// Bytes of the record that are written.
    let recordBytes: Int
    let capacity: Int

    /// Whether a head of so many bytes fits in front of the record.
    func hasRoom(forHead bytes: Int) -> Bool { LogRecord.headerBytes + bytes <= place }

    /// Writes what depends on the record's LSN, and syncs the file. `head`: the head's record, `place` bytes.
    /// `group` begins with the record and may hold others behind it.
    func complete(head: UnsafeRawBufferPointer, _ group: inout LogGroup) throws(SystemError) {
        precondition(head.count == place && group.byteCount >= recordBytes)
        precondition(recordBytes >= File.blockBytes, "a large record is several blocks long")
        let behind = place + group.byteCount
        let bytes = group.bytes(padding: File.padding(behind: behind))
        try file.write(head, at: 0)
        try file.write(UnsafeRawBufferPointer(rebasing: bytes[..<File.blockBytes]), at: place)
        if group.byteCount > recordBytes {
            // From the begin of the block in which the record ends, as that block is written as a whole.
            let last = recordBytes / File.blockBytes * File.blockBytes
            try file.write(UnsafeRawBufferPointer(rebasing: bytes[last...]), at: place + last)
        }
        try file.syncData()
    }

    /// Removes the file: its record is not committed, or goes another way.
    package consuming func discard() {
        // What can't be removed is removed at the next start.
        try? FileSystem.remove(file.path)
    }
}

/// Writes ahead files of one log. Belongs to one thread; blocks on the disk.
package struct AheadFileWriter {
    private let directory: LogDirectory
    /// Room behind a record for what is committed next, so that the log's next file has time to be made.
    private let tailBytes: Int
    private var number = 0

    /// The log's directory.
    package var path: String { directory.path }

    /// `tailBytes` is smaller than the default in tests.
    package init(directory: LogDirectory, tailBytes: Int = Limits.logAheadTailBytes) {
        self.directory = directory
        self.tailBytes = tailBytes
    }

    /// Bytes on the disk that a record of so many bytes takes, with a head of `headBytes`.
    package func bytes(forRecord recordBytes: Int, headBytes: Int) -> Int {
        File.whole(LogRecord.headerBytes + headBytes) + File.whole(recordBytes + tailBytes)
    }

    /// Writes the only record of a group to a file, all but what depends on its LSN, and makes it durable: in pieces, so that
    /// other syncs get in between. `headBytes`: the most that the file's head may have.
    /// - Throws: `SystemError`; the file is gone then.
    package mutating func write(_ group: inout LogGroup, headBytes: Int) throws(SystemError) -> AheadFile {
        precondition(group.offsets.count == 1, "an ahead file is made for one record")
        number += 1
        let path = directory.ahead(number)
        let place = File.whole(LogRecord.headerBytes + headBytes)
        let recordBytes = group.byteCount
        let capacity = bytes(forRecord: recordBytes, headBytes: headBytes)
        do throws(SystemError) {
            let file = try File(path, .replace)
            let zeros = Zeros()
            try zeros.write(place, to: file, at: 0)
            let record = group.bytes(padding: File.padding(behind: recordBytes))
            try file.writeInPieces(record, at: place)
            let behind = place + record.count
            try zeros.write(capacity - behind, to: file, at: behind)
            try file.syncData()
            // The commit won't wait for a name.
            try FileSystem.syncDirectory(directory.path)
            return AheadFile(file: file, place: place, recordBytes: recordBytes, capacity: capacity)
        } catch {
            try? FileSystem.remove(path)
            throw error
        }
    }

    /// Of what a process that died has left, makes the file that was completed the log's, and removes the others. Blocks
    /// until that is durable.
    static func recover(in directory: LogDirectory, salt: UInt32) throws(SystemError) {
        let names = try FileSystem.list(directory.path).filter(directory.isAhead)
        guard !names.isEmpty else { return }
        for name in names {
            let path = "\(directory.path)/\(name)"
            if let base = try base(of: path, salt: salt),
                try self.base(of: directory.file(base: base), salt: salt) == nil
            {
                try FileSystem.rename(path, to: directory.file(base: base))
            } else {
                try FileSystem.remove(path)
            }
        }
        try FileSystem.syncDirectory(directory.path)
    }

    /// Where the file stands in the log by its head; nil where there is no file, or no valid head.
    private static func base(of path: String, salt: UInt32) throws(SystemError) -> LSN? {
        guard FileSystem.exists(path) else { return nil }
        let file = try File(path, .read)
        var wanted = LogRecord.headerBytes
        while true {
            var buffer = RawBuffer(capacity: wanted)
            let target = UnsafeMutableRawBufferPointer(start: buffer.reserve(wanted), count: wanted)
            buffer.commit(try file.read(into: target, at: 0))
            guard buffer.count == wanted, let start = buffer.bytes.baseAddress else { return nil }
            let record = LogRecord(base: start)
            switch RecordCheck.check(buffer.bytes, at: record.lsn, salt: salt) {
            case .valid: return record.type == .fileHead ? record.lsn : nil
            case .incomplete(let needed) where needed > wanted: wanted = needed
            case .incomplete, .invalid: return nil
            }
        }
    }
}

/// A block of zeros to be written again and again.
private struct Zeros: ~Copyable {
    private let block = UnsafeMutableRawBufferPointer.allocate(
        byteCount: File.directBytesUsual, alignment: File.blockBytes)

    init() { block.initializeMemory(as: UInt8.self, repeating: 0) }

    deinit { block.deallocate() }

    func write(_ count: Int, to file: borrowing File, at offset: Int) throws(SystemError) {
        var written = 0
        while written < count {
            let piece = min(block.count, count - written)
            let bytes = UnsafeRawBufferPointer(rebasing: block[..<piece])
            try file.writeDirectly(bytes, at: offset + written)
            written += piece
        }
    }
}

extension File {
    /// The least whole blocks that hold so many bytes.
    fileprivate static func whole(_ bytes: Int) -> Int { bytes + padding(behind: bytes) }

    /// What is missing behind so many bytes to a block's end.
    fileprivate static func padding(behind bytes: Int) -> Int { (blockBytes - bytes % blockBytes) % blockBytes }

    fileprivate borrowing func writeInPieces(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let piece = min(Self.directBytesUsual, bytes.count - written)
            let range = written..<written + piece
            try writeDirectly(UnsafeRawBufferPointer(rebasing: bytes[range]), at: offset + written)
            written += piece
        }
    }
}
