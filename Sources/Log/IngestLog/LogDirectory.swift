package import SystemIO
package import TraceModel

/// A log file that is shorter than its original size.
package struct LogCut: Sendable, Equatable {
    package let path: String
    /// Its size now.
    package let bytes: Int
    /// A lower bound of its original size.
    package let end: LSN
}

/// The files of a log, by base LSN. The directory is small: one name per 64 MB.
package struct LogDirectory: Sendable {
    package let path: String

    package init(path: String) { self.path = path }

    /// Returns the bases of all log files, ascending.
    package func bases() throws(SystemError) -> [LSN] {
        try FileSystem.list(path).compactMap { name in
            guard name.hasSuffix(".log"), name.utf8.count == 24 else { return nil }
            return LSN(name.dropLast(4))
        }
    }

    /// Returns the path of the log file with this base.
    package func file(base: LSN) -> String {
        let digits = String(base)
        return "\(path)/\(String(repeating: "0", count: 20 - digits.utf8.count))\(digits).log"
    }

    /// Returns evidence that the newest file was cut; nil if there is none. The last valid record of the log ends at
    /// `end`. Blocks.
    package func cut(endingAt end: LSN, salt: UInt32) throws(SystemError) -> LogCut? {
        // Files beyond the end have no records: a start after an accepted loss began them, and did not get further.
        guard let base = try bases().last(where: { $0 <= end }) else { return nil }
        let path = file(base: base)
        let file = try File(path, .read)
        let size = try file.size()
        func header(at offset: Int) throws(SystemError) -> (LogRecordType?, Int, Int)? {
            var buffer = RawBuffer(capacity: LogRecord.headerBytes)
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: buffer.reserve(LogRecord.headerBytes),
                count: LogRecord.headerBytes
            )
            unsafe buffer.commit(try file.read(into: target, at: offset))
            guard buffer.count == LogRecord.headerBytes else { return nil }
            let record = unsafe LogRecord(base: UnsafeRawPointer(buffer.base))
            guard record.hasMagic, record.lsn == base + LSN(offset), record.salt == salt,
                record.payloadBytes <= Limits.logRecordBytesMax
            else { return nil }
            return (record.type, record.fileBytes, record.stride)
        }
        if size < LogRecord.headerBytes { return LogCut(path: path, bytes: size, end: base) }
        if let (type, fileBytes, _) = try header(at: 0), type == .fileHead, size < fileBytes {
            return LogCut(path: path, bytes: size, end: base + LSN(fileBytes))
        }
        guard end >= base, end < base + LSN(size) else { return nil }
        if let (_, _, stride) = try header(at: Int(end - base)),
            end + LSN(stride) > base + LSN(size)
        {
            return LogCut(path: path, bytes: size, end: end + LSN(stride))
        }
        return nil
    }

    /// A zeroed file ready to become the next log file.
    var spare: String { "\(path)/spare" }
    /// The same while it is being zeroed.
    var unfinishedSpare: String { "\(path)/spare.tmp" }

    private static let aheadPrefix = "ahead."

    /// A file with a large record that is not part of the log yet (`AheadFile`).
    func ahead(_ number: Int) -> String { "\(path)/\(Self.aheadPrefix)\(number)" }

    func isAhead(_ name: String) -> Bool { name.hasPrefix(Self.aheadPrefix) }
}
