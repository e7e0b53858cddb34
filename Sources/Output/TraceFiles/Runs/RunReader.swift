import SystemIO
import TraceModel

/// Reads one run row by row, then (of a trace) its names.
final class RunReader {
    /// Place among the runs of a merge: decides between equal keys.
    let rank: Int
    @exclusivity(unchecked) private(set) var row: RunRow
    /// Of a trace, once the rows are through: the current name's line without its comma, and its key.
    private(set) var name: (key: NameTable.Key, line: UnsafeRawBufferPointer)?
    /// Columns of a CSV run with the line's end.
    private(set) var csvHeader: [UInt8] = []
    @exclusivity(unchecked) private(set) var rowsRead: UInt64 = 0

    private let kind: OutputKind
    private let run: MergeInput.Run?
    private let reader: BufferedReader
    @exclusivity(unchecked) private var consumedBefore = 0

    /// `run`: what the file must be, for `verify`.
    init(_ path: String, kind: OutputKind, rank: Int, bufferBytes: Int, run: MergeInput.Run? = nil) throws {
        self.kind = kind
        self.run = run
        self.rank = rank
        row = RunRow()
        reader = try BufferedReader(
            path, bufferBytes: bufferBytes, summedFrom: kind == .json ? JSONSegment.headerBytes : 0)
        switch kind {
        case .json:
            guard try reader.fill(atLeast: JSONSegment.headerBytes) else { throw damaged() }
            consumedBefore = JSONSegment.headerBytes
        case .csv:
            guard let end = try reader.findNewline(from: 0) else { throw damaged() }
            csvHeader = Array(reader.unread[...end])
            consumedBefore = end + 1
        case .stacks, .anomalies: break
        }
    }

    /// Once all rows are through: whether the file is the one that its worker announced, to its last byte. Reads what is left
    /// of it. Blocks.
    /// - Throws: `TraceError(.corrupt)` where it is not.
    func verify() throws {
        guard let run else { return }
        consumedBefore = 0
        guard try reader.drain() == Int(clamping: run.bytes), rowsRead == run.rows,
            run.checksum == nil || run.checksum == reader.checksum
        else { throw damaged() }
    }

    /// Moves to the next row; false after the last. Throws `corrupt` for anything else. Blocks.
    func next() throws -> Bool {
        reader.consume(consumedBefore)
        consumedBefore = 0
        let found: RunRow?
        switch kind {
        case .json:
            guard let line = try nextLine() else { return false }
            // Names and the ending are for `nextName`.
            var parser = RowParser(line)
            guard parser.skip("{\"ts\":") else { return false }
            found = RunRow(json: line)
            consumedBefore = lineBytes
        case .csv:
            guard let count = try nextCSVRow() else { return false }
            found = RunRow(csv: UnsafeRawBufferPointer(rebasing: reader.unread[..<count]))
            consumedBefore = count
        case .stacks, .anomalies:
            guard let count = try nextRecord() else { return false }
            found = RunRow(record: UnsafeRawBufferPointer(rebasing: reader.unread[..<count]))
            consumedBefore = count
        }
        guard let found else { throw damaged() }
        row = found
        rowsRead += 1
        return true
    }

    /// Goes to the names of a trace, which stand behind its rows; the bytes that these take in a file, each with what
    /// separates it from the next one. The few names are looked for from the end. Blocks.
    func seekNames() throws -> Int {
        consumedBefore = 0
        let size = try reader.size
        var tailBytes = min(reader.chunkBytes, Self.tailBytes)
        while true {
            let start = max(JSONSegment.headerBytes, size - tailBytes)
            reader.seek(to: start)
            if start > JSONSegment.headerBytes, let end = try reader.findNewline(from: 0) { reader.consume(end + 1) }
            let before = reader.offset - JSONSegment.headerBytes
            let bytes = try skipRows()
            if bytes > 0 || start == JSONSegment.headerBytes { return before + bytes }
            tailBytes *= 4
        }
    }

    /// Names of most runs take less.
    private static let tailBytes = 64 << 10

    /// Passes over rows; the bytes that they take in a file, likewise.
    private func skipRows() throws -> Int {
        var bytes = 0
        while let line = try nextLine() {
            var parser = RowParser(line)
            guard parser.skip("{\"ts\":") else { break }
            bytes += line.count + JSONSegment.separatorBytes
            reader.consume(lineBytes)
        }
        return bytes
    }

    /// Moves to the next name, in the order of the file; false after the last. Only after the rows.
    func nextName() throws -> Bool {
        reader.consume(consumedBefore)
        consumedBefore = 0
        name = nil
        guard let line = try nextLine() else { return false }
        var parser = RowParser(line)
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
        name = (key, line)
        consumedBefore = lineBytes
        return true
    }

    @exclusivity(unchecked) private var lineBytes = 0

    /// The next line without its comma and LF, not yet consumed.
    private func nextLine() throws -> UnsafeRawBufferPointer? {
        guard let end = try reader.findNewline(from: 0) else {
            if reader.unread.isEmpty { return nil }
            throw damaged()
        }
        lineBytes = end + 1
        let line = UnsafeRawBufferPointer(rebasing: reader.unread[..<end])
        guard line.last == UInt8(ascii: ",") else { return line }
        return UnsafeRawBufferPointer(rebasing: line.dropLast())
    }

    /// Size of the next row: up to the first line's end outside quotes.
    private func nextCSVRow() throws -> Int? {
        var counted = 0
        var isQuoted = false
        while true {
            guard let end = try reader.findNewline(from: counted) else {
                if reader.unread.isEmpty { return nil }
                throw damaged()
            }
            let bytes = reader.unread
            for index in counted..<end where bytes[index] == UInt8(ascii: "\"") { isQuoted.toggle() }
            counted = end + 1
            if !isQuoted { return counted }
        }
    }

    private func nextRecord() throws -> Int? {
        guard try reader.fill(atLeast: SegmentRecord.lengthBytes) else {
            if reader.unread.isEmpty { return nil }
            throw damaged()
        }
        let length = UInt32(littleEndian: reader.unread.loadUnaligned(as: UInt32.self))
        let count = SegmentRecord.lengthBytes + Int(length)
        // A wild length must not make the buffer grow to it.
        guard Int(length) <= Limits.segmentRecordBytesMax, try reader.fill(atLeast: count) else { throw damaged() }
        return count
    }

    private func damaged() -> TraceError {
        TraceError(.corrupt, "segment \(reader.path) is damaged at byte \(reader.offset)")
    }
}
