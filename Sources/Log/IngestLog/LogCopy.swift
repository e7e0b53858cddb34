import Glibc
package import SystemIO
package import TraceModel

/// Continues a log on the disk with its own bytes, as a replica returns them, in files as its writer would have made. One
/// thread; every call blocks. A crash leaves a log with a torn tail, which is continued in the same way.
package struct LogCopy: ~Copyable {
    private let directory: LogDirectory
    private var file: File?
    private var base: LSN = 0
    /// Where the current record ends.
    private var recordEnd: LSN
    /// The next record's header as far as it has come.
    private var header = RawBuffer(capacity: LogRecord.headerBytes)
    /// LSN of the next byte of a record's payload.
    private var position: LSN

    /// Begins at the log's end, or at another record.
    package init(_ directory: LogDirectory, at lsn: LSN) throws(SystemError) {
        self.directory = directory
        recordEnd = lsn
        position = lsn
        if let base = try directory.bases().last(where: { $0 <= lsn }) {
            self.base = base
            file = try File(directory.file(base: base), .readWrite)
        }
    }

    /// LSN of the next byte.
    package var end: LSN { position + LSN(header.count) }

    /// Continues at the begin of another record. What was written from there on does not count.
    package mutating func move(to lsn: LSN) {
        header.removeAll()
        recordEnd = lsn
        position = lsn
    }

    /// Writes the next bytes; they need not end with a record.
    /// - Throws: `SystemError`; EBADMSG if they are not of a log.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            if position < recordEnd {
                let count = unsafe min(rest.count, Int(recordEnd - position))
                try unsafe write(UnsafeRawBufferPointer(rebasing: rest.prefix(count)), at: position)
                position += LSN(count)
                unsafe rest = unsafe rest.dropFirst(count)
            } else {
                let count = unsafe min(rest.count, LogRecord.headerBytes - header.count)
                unsafe header.append(UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
                unsafe rest = unsafe rest.dropFirst(count)
                if header.count == LogRecord.headerBytes { try begin() }
            }
        }
    }

    /// Begins a record whose header is complete.
    private mutating func begin() throws(SystemError) {
        let record = unsafe LogRecord(
            base: UnsafeRawPointer(header.bytes.baseAddress.unsafelyUnwrapped)
        )
        guard record.hasMagic, record.lsn == recordEnd,
            record.payloadBytes <= Limits.logRecordBytesMax
        else { throw SystemError(errno: EBADMSG, call: "copy", subject: "LSN \(recordEnd)") }
        if record.type == .fileHead { try open(bytes: record.fileBytes) }
        try unsafe write(header.bytes, at: recordEnd)
        position = recordEnd + LSN(LogRecord.headerBytes)
        recordEnd += LSN(record.stride)
        header.removeAll()
    }

    /// Opens the file that begins with the current record, in its whole size.
    private mutating func open(bytes: Int) throws(SystemError) {
        try file?.syncData()
        base = recordEnd
        let path = directory.file(base: base)
        let size = max(bytes, Limits.logFileBytes)
        if FileSystem.size(path) ?? 0 >= size {
            file = try File(path, .readWrite)
            return
        }
        let temporary = "\(directory.path)/copied.tmp"
        let fresh = try File(temporary, .replace)
        try fresh.truncate(to: size)
        try fresh.syncData()
        try FileSystem.rename(temporary, to: path)
        try FileSystem.syncDirectory(directory.path)
        file = consume fresh
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at lsn: LSN) throws(SystemError) {
        guard file != nil else {
            throw SystemError(errno: EBADMSG, call: "copy", subject: "LSN \(lsn)")
        }
        try unsafe file?.write(bytes, at: Int(lsn - base))
    }

    /// Makes what was written durable.
    package mutating func finish() throws(SystemError) { try file?.syncData() }
}
