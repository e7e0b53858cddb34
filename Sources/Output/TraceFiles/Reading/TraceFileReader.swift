import SystemIO
package import TraceModel

/// Selects events in the final files of one resource.
package struct TraceSelection: Sendable, Equatable {
    package var resource: Resource
    /// Inclusive bounds, in nanoseconds since the epoch; nil means unbounded.
    package var from: EpochNanoseconds?
    package var to: EpochNanoseconds?
    package var pid: UInt32?
    /// The host's name as its agents send it; nil selects all hosts.
    package var host: String?

    package init(
        resource: Resource,
        from: EpochNanoseconds? = nil,
        to: EpochNanoseconds? = nil,
        pid: UInt32? = nil,
        host: String? = nil
    ) {
        self.resource = resource
        self.from = from
        self.to = to
        self.pid = pid
        self.host = host
    }

    /// The part of the selection that can be checked for a single row.
    var rows: RowSelection { RowSelection(from: from, to: to, pid: pid, host: host) }
}

/// Selects rows in a set of final files.
struct RowSelection {
    /// Inclusive bounds, in nanoseconds since the epoch; nil means unbounded.
    let from: EpochNanoseconds?
    let to: EpochNanoseconds?
    let pid: UInt32?
    /// The host's name as its agents send it; nil selects all hosts.
    let host: String?

    func holds(ts: EpochNanoseconds, pid: UInt32) -> Bool {
        if let from, ts < from { return false }
        if let to, ts > to { return false }
        return holds(pid: pid)
    }

    func holds(pid: UInt32) -> Bool { self.pid.map { $0 == pid } ?? true }

    /// Returns the forms in which files of that kind write the host; nil if all hosts are selected.
    func hostTexts(_ kind: FinalFile.Kind) -> [[UInt8]]? {
        guard var name = host else { return nil }
        return name.withUTF8 { bytes in
            let view = unsafe ByteView(UnsafeRawBufferPointer(bytes))
            var text = RawBuffer()
            guard kind == .csv else {
                text.appendJSONString(view)
                return unsafe [Array(text.bytes)]
            }
            // A table does not say whether it is protected against formulas.
            return [false, true].map { isGuarded in
                text.removeAll()
                text.appendCSVField(view, guardsFormulas: isGuarded)
                return unsafe Array(text.bytes)
            }
        }
    }
}

/// Reads final files of all windows and hosts, plain or compressed, and joins them into one document. The document
/// is ordered by time and filtered by time, process and host. Streams: memory is bounded by the largest row and the
/// number of files that overlap in time.
///
/// Skips files that retention removes meanwhile. Not thread-safe; blocks on the disk and in `write`.
@safe
package final class TraceFileReader {
    /// Receives one piece of the document.
    package typealias Output = (UnsafeRawBufferPointer) throws -> Void

    private static let pieceBytes = 256 << 10

    private let selection: TraceSelection
    private let root: String
    private let filesMax: Int
    private let write: Output
    private var piece = RawBuffer(capacity: TraceFileReader.pieceBytes)
    /// The number of events or CSV rows written so far.
    package private(set) var rowCount: UInt64 = 0

    /// Reads from the data directory `root`; empty if it is the current directory. `filesMax` limits the files that
    /// overlap in time, because these are read together.
    package init(
        _ selection: TraceSelection,
        root: String = "",
        filesMax: Int = Limits.catFilesMax,
        write: @escaping Output
    ) {
        self.selection = selection
        self.root = root
        self.filesMax = filesMax
        unsafe self.write = unsafe write
    }

    // MARK: Documents

    /// Writes one Chrome trace of the selected events and the names of their processes. Names follow the events of each
    /// file; viewers accept them anywhere. Calls that are open at a bound of the selected time span are clipped there.
    /// - Throws: `TraceError` if a file is damaged or too many overlap; whatever `write` throws.
    package func writeJSON() throws {
        piece.append("{\"displayTimeUnit\":\"ms\",\"metadata\":{\"resource\":\"")
        piece.append(selection.resource.name)
        piece.append("\",\"server\":\"trace-processor ")
        piece.append(BuildInfo.version)
        piece.append("\"},\"traceEvents\":[")
        let merge = try FinalFileMerge(
            try FinalFile.paths(of: .json, selection.resource, root: root),
            .json,
            selection.rows,
            clipsCalls: selection.resource == .function,
            filesMax: filesMax
        )
        var isFirst = true
        try unsafe merge.forEachRow { row, content in
            piece.append(isFirst ? "\n" : ",\n")
            isFirst = false
            if content == .event { rowCount += 1 }
            try unsafe append(row)
        }
        piece.append("\n]}\n")
        try flush()
    }

    /// Writes one table with one header, or nothing if there is no file. With `.original`, files that have all columns
    /// are reduced to the original ones.
    /// - Throws: `TraceError` if a file is damaged, too many overlap, files have different columns or none for the
    ///   selected host, or the original server has no table of the resource; whatever `write` throws.
    package func writeCSV(_ columns: CSVColumns = .all) throws {
        let paths = try FinalFile.paths(of: .csv, selection.resource, root: root)
        guard columns == .original else {
            guard let header = try commonHeader(of: paths) else { return }
            unsafe header.withUnsafeBytes { unsafe piece.append($0) }
            piece.append(byte: 0x0A)
            return try unsafe writeRows(of: paths) { row in
                unsafe piece.append(row)
                piece.append(byte: 0x0A)
            }
        }
        guard let original = OriginalColumns(of: selection.resource) else {
            throw TraceError(
                .invalidArgument,
                "The original server has no table of \(selection.resource.name) events"
            )
        }
        guard let header = try commonHeader(of: paths, original) else { return }
        unsafe header.withUnsafeBytes { unsafe piece.append($0) }
        try unsafe writeRows(of: paths) { row in
            guard unsafe original.append(row, to: &piece) else {
                throw TraceError(.corrupt, "a table contains a row with too few columns")
            }
        }
    }

    private func writeRows(
        of paths: [String],
        _ append: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let merge = try FinalFileMerge(
            paths,
            .csv,
            selection.rows,
            clipsCalls: false,
            filesMax: filesMax
        )
        try unsafe merge.forEachRow { row, _ in
            rowCount += 1
            try unsafe append(row)
            if piece.count >= Self.pieceBytes { try flush() }
        }
        try flush()
    }

    // MARK: Files

    /// Returns the column names common to all tables; nil if there are no tables. With `original`, they are reduced and
    /// end in a line end.
    private func commonHeader(
        of paths: [String],
        _ original: OriginalColumns? = nil
    ) throws -> [UInt8]? {
        var common: [UInt8]?
        for path in paths {
            guard let file = try FinalFile(path, .csv, rank: 0) else { continue }
            guard file.hasAllColumns || selection.host == nil else {
                throw TraceError(
                    .configuration,
                    "\(path) does not say hosts: it was written with csv_columns = original",
                    remedy: "Leave --host out, or read the traces with --format json"
                )
            }
            var header = file.columns
            if let original {
                var reduced = RawBuffer()
                let isTable = unsafe header.withUnsafeBytes {
                    unsafe original.append($0, to: &reduced)
                }
                guard isTable else { throw file.damaged() }
                header = unsafe Array(reduced.bytes)
            }
            if common == nil { common = header }
            guard common == header else {
                // Files of another version may have other columns as well, and one table cannot have both.
                throw TraceError(
                    .configuration,
                    "\(path) has other columns than the files before it",
                    remedy: original == nil
                        ? """
                        Where the setting csv_columns was changed, --columns original reads files of both kinds; else move \
                        the files of one kind away, and read them separately
                        """ : "Move the files of one kind away, and read them separately"
                )
            }
        }
        return common
    }

    // MARK: Pieces

    private func append(_ row: UnsafeRawBufferPointer) throws {
        unsafe piece.append(row)
        if piece.count >= Self.pieceBytes { try flush() }
    }

    private func flush() throws {
        try unsafe write(piece.bytes)
        piece.removeAll()
        piece.shrink(keeping: Self.pieceBytes)
    }
}
