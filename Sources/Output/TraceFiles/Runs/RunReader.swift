import SystemIO
import TraceModel

/// Reads one run row by row, then the names of a trace.
@safe
final class RunReader {
    /// Position among the runs of a merge. Decides between equal keys.
    let rank: Int
    @exclusivity(unchecked) private(set) var row: RunRow
    /// The current name of a trace, after its rows: the key, and the line without its comma.
    private(set) var name: (key: NameTable.Key, line: UnsafeRawBufferPointer)?
    /// The column names of a CSV run, with the line end.
    private(set) var csvHeader: [UInt8] = []
    @exclusivity(unchecked) private(set) var rowsRead: UInt64 = 0

    private let kind: OutputKind
    private let run: MergeInput.Run?
    private let reader: BufferedReader
    @exclusivity(unchecked) private var consumedBefore = 0

    /// Opens a run. `run` describes the expected file, for `verify`.
    init(
        _ path: String,
        kind: OutputKind,
        rank: Int,
        bufferBytes: Int,
        run: MergeInput.Run? = nil
    ) throws {
        self.kind = kind
        self.run = run
        self.rank = rank
        unsafe row = RunRow()
        reader = try BufferedReader(
            path,
            bufferBytes: bufferBytes,
            summedFrom: kind == .json ? JSONSegment.headerBytes : 0
        )
        switch kind {
        case .json:
            guard try reader.fill(atLeast: JSONSegment.headerBytes) else { throw damaged() }
            unsafe consumedBefore = JSONSegment.headerBytes
        case .csv:
            guard let end = try reader.findNewline(from: 0) else { throw damaged() }
            csvHeader = unsafe Array(reader.unread[...end])
            unsafe consumedBefore = end + 1
        case .stacks, .anomalies, .profile: break
        }
    }

    /// Checks that the file is byte for byte the announced one. Call after the last row. Reads the rest of the file.
    /// Blocks.
    /// - Throws: `TraceError(.corrupt)` if it is not.
    func verify() throws {
        guard let run else { return }
        unsafe consumedBefore = 0
        guard try reader.drain() == Int(clamping: run.bytes), unsafe rowsRead == run.rows,
            run.checksum == nil || run.checksum == reader.checksum
        else { throw damaged() }
    }

    /// Moves to the next row; returns false after the last one. Throws `corrupt` if the file is damaged. Blocks.
    func next() throws -> Bool {
        unsafe reader.consume(consumedBefore)
        unsafe consumedBefore = 0
        let found: RunRow?
        switch kind {
        case .json:
            guard let line = try unsafe nextLine() else { return false }
            // Names and the ending are left to `nextName`.
            var parser = unsafe RowParser(line)
            guard parser.skip("{\"ts\":") else { return false }
            found = unsafe RunRow(json: line)
            unsafe consumedBefore = unsafe lineBytes
        case .csv:
            guard let count = try nextCSVRow() else { return false }
            found = unsafe RunRow(csv: UnsafeRawBufferPointer(rebasing: reader.unread[..<count]))
            unsafe consumedBefore = count
        case .stacks, .anomalies, .profile:
            guard let count = try nextRecord() else { return false }
            found = unsafe RunRow(record: UnsafeRawBufferPointer(rebasing: reader.unread[..<count]))
            unsafe consumedBefore = count
        }
        guard let found else { throw damaged() }
        unsafe row = found
        unsafe rowsRead += 1
        return true
    }

    /// Moves to the names of a trace, which follow its rows. Returns the size of the rows with their separators.
    /// Searches for the names, usually few, from the end of the file. Blocks.
    func seekNames() throws -> Int {
        unsafe consumedBefore = 0
        let size = try reader.size
        var tailBytes = min(reader.chunkBytes, Self.tailBytes)
        while true {
            let start = max(JSONSegment.headerBytes, size - tailBytes)
            reader.seek(to: start)
            if start > JSONSegment.headerBytes, let end = try reader.findNewline(from: 0) {
                reader.consume(end + 1)
            }
            let before = reader.offset - JSONSegment.headerBytes
            let bytes = try skipRows()
            if bytes > 0 || start == JSONSegment.headerBytes { return before + bytes }
            tailBytes *= 4
        }
    }

    /// Enough for the names of most runs, in bytes.
    private static let tailBytes = 64 << 10

    /// Skips rows and returns their size with separators.
    private func skipRows() throws -> Int {
        var bytes = 0
        while let line = try unsafe nextLine() {
            var parser = unsafe RowParser(line)
            guard parser.skip("{\"ts\":") else { break }
            bytes += line.count + JSONSegment.separatorBytes
            unsafe reader.consume(lineBytes)
        }
        return bytes
    }

    /// Moves to the next name in the order of the file; returns false after the last one. Call after the rows.
    func nextName() throws -> Bool {
        unsafe reader.consume(consumedBefore)
        unsafe consumedBefore = 0
        unsafe name = nil
        guard let line = try unsafe nextLine() else { return false }
        var parser = unsafe RowParser(line)
        guard parser.skip("{\"ph\":\"M\",\"pid\":") else {
            guard parser.skip("]}") else { throw damaged() }
            return false
        }
        guard let pid = parser.processID() else { throw damaged() }
        var key = NameTable.Key.process(pid)
        if parser.skip(",\"tid\":") {
            guard let tid = parser.processID() else { throw damaged() }
            key = .thread(pid, tid)
        } else if parser.skip(",\"name\":\"process_sort_index\"") {
            key = .sortIndex(pid)
        }
        unsafe name = unsafe (key, line)
        unsafe consumedBefore = unsafe lineBytes
        return true
    }

    @exclusivity(unchecked) private var lineBytes = 0

    /// Returns the next line without its comma and LF, and does not consume it.
    private func nextLine() throws -> UnsafeRawBufferPointer? {
        guard let end = try reader.findNewline(from: 0) else {
            if unsafe reader.unread.isEmpty { return nil }
            throw damaged()
        }
        unsafe lineBytes = end + 1
        let line = unsafe UnsafeRawBufferPointer(rebasing: reader.unread[..<end])
        guard unsafe line.last == UInt8(ascii: ",") else { return unsafe line }
        return unsafe UnsafeRawBufferPointer(rebasing: line.dropLast())
    }

    /// Returns the size of the next row, up to the first line end outside quotes.
    private func nextCSVRow() throws -> Int? {
        var counted = 0
        var isQuoted = false
        while true {
            guard let end = try reader.findNewline(from: counted) else {
                if unsafe reader.unread.isEmpty { return nil }
                throw damaged()
            }
            let bytes = unsafe reader.unread
            for index in counted..<end where unsafe bytes[index] == UInt8(ascii: "\"") {
                isQuoted.toggle()
            }
            counted = end + 1
            if !isQuoted { return counted }
        }
    }

    private func nextRecord() throws -> Int? {
        guard try reader.fill(atLeast: SegmentRecord.lengthBytes) else {
            if unsafe reader.unread.isEmpty { return nil }
            throw damaged()
        }
        let length = unsafe UInt32(littleEndian: reader.unread.loadUnaligned(as: UInt32.self))
        let count = SegmentRecord.lengthBytes + Int(length)
        // A damaged length must not grow the buffer.
        guard Int(length) <= Limits.segmentRecordBytesMax, try reader.fill(atLeast: count) else {
            throw damaged()
        }
        return count
    }

    private func damaged() -> TraceError {
        TraceError(.corrupt, "segment \(reader.path) is damaged at byte \(reader.offset)")
    }
}

/// One parsed row of a run. The views are valid until the reader moves on.
@safe
struct RunRow {
    var ts: EpochNanoseconds = 0
    var pid: UInt32 = 0
    /// The host as it is written in the row, in CSV perhaps quoted. Empty if the output belongs to one host.
    var host = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The row as it is written in a segment; of JSON without the comma and LF.
    var bytes = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The offset in an event at which the text continues after the time and process id.
    private(set) var keyEnd = 0
    /// The bytes after the key of a binary record.
    var payload = unsafe UnsafeRawBufferPointer(start: nil, count: 0)

    init() {}

    /// Parses an event `{"ts":…,"pid":…,`.
    init?(json bytes: UnsafeRawBufferPointer) {
        var parser = unsafe RowParser(bytes)
        guard parser.skip("{\"ts\":"), let ts = parser.microseconds(), parser.skip(",\"pid\":"),
            let pid = parser.processID()
        else { return nil }
        self.ts = ts
        self.pid = pid
        unsafe self.bytes = unsafe bytes
        keyEnd = parser.position
    }

    /// Parses a CSV row with its line end. The process id is column 2; the host and the time are the last two.
    init?(csv bytes: UnsafeRawBufferPointer) {
        let comma = UInt8(ascii: ",")
        guard bytes.count > 2, unsafe bytes[bytes.count - 2] == 0x0D,
            let first = unsafe bytes.firstIndex(of: comma)
        else {
            return nil
        }
        var parser = unsafe RowParser(bytes)
        parser.position = first + 1
        guard let pid = parser.processID(), parser.skip(",") else { return nil }
        var start = bytes.count - 2
        while start > 0, unsafe bytes[start - 1] != comma { start -= 1 }
        parser.position = start
        guard let ts = parser.signed(), parser.position == bytes.count - 2, start > 0 else {
            return nil
        }
        let hostEnd = start - 1
        guard let hostStart = unsafe Self.fieldStart(bytes, endingAt: hostEnd) else { return nil }
        self.ts = ts
        self.pid = pid
        unsafe self.bytes = unsafe bytes
        unsafe host = unsafe UnsafeRawBufferPointer(rebasing: bytes[hostStart..<hostEnd])
    }

    /// Parses a whole `SegmentRecord`.
    init?(record bytes: UnsafeRawBufferPointer) {
        let fixed = SegmentRecord.lengthBytes + SegmentRecord.fixedBytes
        guard bytes.count >= fixed else { return nil }
        ts = unsafe Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: Int64.self))
        pid = unsafe UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        let hostBytes = unsafe bytes.loadUnaligned(fromByteOffset: 16, as: UInt16.self)
        let hostEnd = fixed + Int(UInt16(littleEndian: hostBytes))
        guard bytes.count >= hostEnd else { return nil }
        unsafe self.bytes = unsafe bytes
        unsafe host = unsafe UnsafeRawBufferPointer(rebasing: bytes[fixed..<hostEnd])
        unsafe payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[hostEnd...])
    }

    /// Whether this row sorts first; nil if the keys are equal, in which case the order of the runs decides.
    func precedes(_ other: RunRow) -> Bool? {
        if ts != other.ts { return ts < other.ts }
        if pid != other.pid { return pid < other.pid }
        if unsafe host.elementsEqual(other.host) { return nil }
        // Compared without quotes, because workers sort by the bare name.
        return unsafe Self.unquoted(host).lexicographicallyPrecedes(Self.unquoted(other.host))
    }

    /// Returns the offset of the field that ends at `end`. Within a quoted field, quotes are doubled.
    static func fieldStart(_ bytes: UnsafeRawBufferPointer, endingAt end: Int) -> Int? {
        let quote = UInt8(ascii: "\"")
        var start = end
        guard end > 0 else { return nil }
        if unsafe bytes[end - 1] != quote {
            while start > 0, unsafe bytes[start - 1] != UInt8(ascii: ",") { start -= 1 }
            return start > 0 ? start : nil
        }
        start = end - 2
        while start >= 0 {
            if unsafe bytes[start] != quote {
                start -= 1
            } else if start > 0, unsafe bytes[start - 1] == quote {
                start -= 2
            } else {
                return start
            }
        }
        return nil
    }

    /// The text of a CSV field.
    static func unquoted(_ field: UnsafeRawBufferPointer) -> [UInt8] {
        let quote = UInt8(ascii: "\"")
        guard unsafe field.first == quote, field.count >= 2 else { return unsafe Array(field) }
        var result: [UInt8] = []
        var index = 1
        while index < field.count - 1 {
            unsafe result.append(field[index])
            unsafe index += field[index] == quote ? 2 : 1
        }
        return result
    }
}
