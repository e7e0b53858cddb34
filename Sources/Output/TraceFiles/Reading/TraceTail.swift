import Glibc
import SystemIO
import TraceModel

/// The name of a process or thread, or the order of a process in viewers, as a line of a trace gives it (an `M` event).
@safe
struct TraceName {
    let key: NameTable.Key
    /// JSON string with its quotes; of a sort index the number. Valid as long as the line.
    let value: UnsafeRawBufferPointer

    /// Parses a line without its comma. Nil if it is no name that this program writes.
    init?(_ line: UnsafeRawBufferPointer) {
        var parser = unsafe RowParser(line)
        guard parser.skip("{\"ph\":\"M\",\"pid\":"), let pid = parser.processID() else {
            return nil
        }
        if parser.skip(",\"tid\":") {
            guard let tid = parser.processID(),
                parser.skip(",\"name\":\"thread_name\",\"args\":{\"name\":"),
                let value = unsafe parser.text()
            else { return nil }
            key = .thread(pid, tid)
            unsafe self.value = unsafe value
        } else if parser.skip(",\"name\":\"process_name\",\"args\":{\"name\":") {
            guard let value = unsafe parser.text() else { return nil }
            key = .process(pid)
            unsafe self.value = unsafe value
        } else {
            guard parser.skip(",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":") else {
                return nil
            }
            let start = parser.position
            guard parser.signed() != nil else { return nil }
            key = .sortIndex(pid)
            unsafe self.value = unsafe UnsafeRawBufferPointer(
                rebasing: line[start..<parser.position]
            )
        }
    }
}

/// What has to be known of a trace before its events are read: its host, its time span, and the names at its end. Of a
/// plain file only both ends are read; a compressed one is read completely.
struct TraceTail {
    /// JSON string with its quotes; empty if the file names none.
    let host: [UInt8]
    /// The number of the file's window; 0 if the file names none.
    let window: UInt64
    /// The time of the first event that is not a continued call; nil if there is none.
    private(set) var firstTs: EpochNanoseconds?
    private(set) var lastTs: EpochNanoseconds?

    /// Reads a trace, and calls `name` with each of its names and what is known of the file then. If the first event is
    /// after `end`, nothing else is read, and `lastTs` is nil. Nil if the file is gone or empty. `onRow` is called for
    /// each row and throws to end the reading. Blocks.
    /// - Throws: `TraceError` if the file is damaged or cut off; `SystemError`.
    init?(
        _ path: String,
        until end: EpochNanoseconds?,
        onRow: () throws -> Void,
        name: (TraceTail, TraceName) throws -> Void
    ) throws {
        guard let file = try FinalFile(path, .json, rank: 0) else { return nil }
        host = file.host
        window = file.window
        var hasRow = try file.next()
        while hasRow, file.continuedCall != nil {
            try onRow()
            lastTs = file.ts
            hasRow = try file.next()
        }
        if hasRow, file.content == .event {
            firstTs = file.ts
            if let end, file.ts > end {
                lastTs = nil
                return
            }
        }
        if !file.isCompressed, try readEnd(of: file, name) { return }
        while hasRow {
            try onRow()
            if file.content == .event {
                lastTs = file.ts
            } else if let found = unsafe TraceName(file.row) {
                try name(self, found)
            }
            hasRow = try file.next()
        }
    }

    var hostHash: UInt64 { unsafe host.withUnsafeBytes { unsafe Slot.hash(host: $0) } }

    /// Whether the file has events at or after `ts`, as far as it was read.
    func reaches(_ ts: EpochNanoseconds) -> Bool { lastTs ?? .max >= ts }

    /// Enough for the names of most files, in bytes.
    private static let tailBytes = 16 << 10
    /// More than the names of a file can take (`TraceParts.shareMax`) and a row.
    private static let tailBytesMax = 64 << 20

    /// Reads the end of a plain file; returns false if the last event is not near it.
    private mutating func readEnd(
        of file: FinalFile,
        _ name: (TraceTail, TraceName) throws -> Void
    ) throws -> Bool {
        let input: BufferedReader
        do { input = try BufferedReader(file.path, bufferBytes: Self.tailBytes) } catch {
            guard error.isNotFound else { throw error }
            return false
        }
        let size = try input.size
        var count = min(size, Self.tailBytes)
        while true {
            input.seek(to: size - count)
            _ = try input.fill(atLeast: count)
            let isFound = try unsafe take(end: input.unread, of: file, name)
            if isFound || count == size || count >= Self.tailBytesMax { return isFound }
            count = min(size, 8 * count)
        }
    }

    private mutating func take(
        end bytes: UnsafeRawBufferPointer,
        of file: FinalFile,
        _ name: (TraceTail, TraceName) throws -> Void
    ) throws -> Bool {
        let isWhole = JSONSegment.ending.withUTF8Buffer {
            unsafe bytes.suffix($0.count).elementsEqual($0)
        }
        guard isWhole else { throw TraceError(.corrupt, "\(file.path) is cut off") }
        guard let last = unsafe Self.lastEvent(in: bytes) else { return false }
        lastTs = last.ts
        try unsafe Self.forEachLine(after: last.end, in: bytes) { line in
            if let found = unsafe TraceName(line) { try name(self, found) }
        }
        return true
    }

    /// Finds the last event whose line begins within the bytes, and the end of that line.
    private static func lastEvent(
        in bytes: UnsafeRawBufferPointer
    ) -> (ts: EpochNanoseconds, end: Int)? {
        var end = bytes.count
        while let start = unsafe bytes[..<end].lastIndex(of: 0x0A) {
            var parser = unsafe RowParser(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            if parser.skip("\n{\"ts\":") { return parser.microseconds().map { ($0, end) } }
            end = start
        }
        return nil
    }

    private static func forEachLine(
        after start: Int,
        in bytes: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        guard let base = bytes.baseAddress else { return }
        var start = start
        while start < bytes.count {
            let found = unsafe memchr(base + start, 0x0A, bytes.count - start)
            let end = unsafe found.map { unsafe UnsafeRawPointer($0) - base } ?? bytes.count
            try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            start = end + 1
        }
    }
}
