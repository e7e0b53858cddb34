import SystemIO
import TraceModel

/// Reads final files back, of all windows in their order (of one window, by host): filtered by time and
/// process, joined into one document. Streams: memory is bounded by the largest row. Plain and gzip files.
/// Within a window events come in order of time for each host.
///
/// Opens one file at a time, so a file that retention removes meanwhile is passed over. Not thread-safe;
/// blocks on the disk and in `write`.
package final class TraceFileReader {
    /// Takes a piece of the document.
    package typealias Output = (UnsafeRawBufferPointer) throws -> Void

    private static let pieceBytes = 256 << 10

    private let selection: TraceSelection
    private let root: String
    private let write: Output
    private var piece = RawBuffer(capacity: TraceFileReader.pieceBytes)
    /// Rows written so far: events, and of CSV rows.
    package private(set) var rowCount: UInt64 = 0

    /// `root` is the data directory, empty where it is the current one.
    package init(_ selection: TraceSelection, root: String = "", write: @escaping Output) {
        self.selection = selection
        self.root = root
        self.write = write
    }

    // MARK: Documents

    /// Writes one Chrome trace, of the selected events and the names of their processes. Names stand behind
    /// each file's events; viewers take them wherever they stand.
    /// - Throws: `TraceError` where a file is damaged; what `write` throws.
    package func writeJSON() throws {
        piece.append("{\"displayTimeUnit\":\"ms\",\"metadata\":{\"resource\":\"")
        piece.append(selection.resource.name)
        piece.append("\",\"server\":\"trace-processor ")
        piece.append(BuildInfo.version)
        piece.append("\"},\"traceEvents\":[")
        var isFirst = true
        try forEachFile(of: .json) { reader in
            guard try skipHeader(reader) else { return }
            while let line = try reader.next() {
                guard let event = Self.event(line) else { continue }
                guard try isSelected(event, path: reader.path) else { continue }
                piece.append(isFirst ? "\n" : ",\n")
                isFirst = false
                try append(event)
            }
        }
        piece.append("\n]}\n")
        try flush()
    }

    /// Writes one table with one header; nothing where there is no file.
    /// - Throws: `TraceError` where a file is damaged; what `write` throws.
    package func writeCSV() throws {
        var header: [UInt8] = []
        try forEachFile(of: .csv) { reader in
            guard let line = try reader.next(isQuoting: true) else { return }
            let columns = Array(line)
            if columns != header {
                // Files of another version may have other columns: a table can hold only one kind.
                guard header.isEmpty else {
                    throw TraceError(
                        .configuration,
                        "\(reader.path) has other columns than the files before it",
                        remedy: "Read the time before it separately"
                    )
                }
                header = columns
                try append(line)
                piece.append(byte: 0x0A)
            }
            while let row = try reader.next(isQuoting: true) {
                guard !row.isEmpty else { continue }
                guard let (ts, pid) = Self.csvKey(row) else { throw damaged(reader.path) }
                if let to = selection.to, ts > to { return }
                guard selection.holds(ts: ts, pid: pid) else { continue }
                rowCount += 1
                try append(row)
                piece.append(byte: 0x0A)
            }
        }
        try flush()
    }

    // MARK: Files

    /// Calls `body` with each of the resource's files.
    private func forEachFile(of kind: OutputKind, _ body: (RecordReader) throws -> Void) throws {
        let directory = "\(ClusterPaths.output)/\(kind.directory)"
        let path = root.isEmpty ? directory : "\(root)/\(directory)"
        let prefix = "\(selection.resource.name)_trace_"
        let endings = [".json", ".csv", ".json.gz", ".csv.gz"]
        let names = try FileSystem.list(path).filter { name in
            name.hasPrefix(prefix) && endings.contains { name.hasSuffix($0) }
        }
        for name in names {
            let reader: RecordReader
            do {
                reader = try RecordReader("\(path)/\(name)")
            } catch let error as SystemError where error.isNotFound {
                continue
            }
            try body(reader)
        }
    }

    /// False where the file has no events.
    private func skipHeader(_ reader: RecordReader) throws -> Bool {
        guard let line = try reader.next() else { return false }
        var parser = RowParser(line)
        guard parser.skip("{\"displayTimeUnit\"") else { throw damaged(reader.path) }
        return true
    }

    /// A line without what joins it to the next one; nil for the end of the document.
    private static func event(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let first = line.first, first == UInt8(ascii: "{") else { return nil }
        let hasComma = line.last == UInt8(ascii: ",")
        return hasComma ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
    }

    // MARK: Rows

    private func isSelected(_ event: UnsafeRawBufferPointer, path: String) throws -> Bool {
        var parser = RowParser(event)
        if parser.skip("{\"ph\":\"M\",\"pid\":") {
            guard let pid = parser.processID() else { throw damaged(path) }
            return selection.holds(pid: pid)
        }
        guard parser.skip("{\"ts\":"), let ts = parser.microseconds(), parser.skip(",\"pid\":"),
            let pid = parser.processID()
        else { throw damaged(path) }
        guard selection.holds(ts: ts, pid: pid) else { return false }
        rowCount += 1
        return true
    }

    /// The time, which stands in the last column, and the process id, which stands in the second.
    private static func csvKey(
        _ row: UnsafeRawBufferPointer
    ) -> (ts: EpochNanoseconds, pid: UInt32)? {
        guard let first = row.firstIndex(of: UInt8(ascii: ",")),
            let last = row.lastIndex(of: UInt8(ascii: ","))
        else { return nil }
        var parser = RowParser(row)
        parser.position = first + 1
        guard let pid = parser.processID() else { return nil }
        parser.position = last + 1
        guard let ts = parser.signed() else { return nil }
        return (ts, pid)
    }

    private func append(_ row: UnsafeRawBufferPointer) throws {
        piece.append(row)
        if piece.count >= Self.pieceBytes { try flush() }
    }

    private func flush() throws {
        try write(piece.bytes)
        piece.removeAll()
        piece.shrink(keeping: Self.pieceBytes)
    }

    private func damaged(_ path: String) -> TraceError {
        TraceError(.corrupt, "\(path) holds a row that is none of ours")
    }
}
