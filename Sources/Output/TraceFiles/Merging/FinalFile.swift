import Compression
import SystemIO
import TraceModel

/// One final file, row by row, with what its rows are ordered by. Views are valid until the next row.
final class FinalFile {
    enum Kind {
        case json
        case csv
        /// Lines of JSON, one a finding.
        case anomalies
    }

    enum Content {
        case event
        /// The name of a process or thread, behind all events: it has no time.
        case name
    }

    let kind: Kind
    let path: String
    /// Place among the files: decides between equal times.
    let rank: Int
    /// A table's first row.
    private(set) var columns: [UInt8] = []
    /// The host of a trace: JSON text with its quotes; empty where the file says none.
    private(set) var host: [UInt8] = []

    private(set) var content = Content.event
    private(set) var row = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var ts: EpochNanoseconds = 0
    private(set) var pid: UInt32 = 0

    private let reader: RecordReader
    /// Whether a table has all columns, of which the last ones are the host and the time in nanoseconds. Else there are just
    /// the original's, and of the time the milliseconds in the first one.
    private(set) var hasAllColumns = true

    // MARK: Names

    /// How names of files may end that end with `plain` before they are compressed.
    static func endings(_ plain: String) -> [String] { [plain] + FileCompression.allCases.map { plain + $0.suffix } }

    /// The paths of final files whose names are wanted, sorted. `root` is the data directory, empty where it is
    /// the current one. Blocks on the disk.
    static func paths(of kind: OutputKind, root: String, where isWanted: (String) -> Bool) throws -> [String] {
        let directory = "\(ClusterPaths.output)/\(kind.directory)"
        let path = root.isEmpty ? directory : "\(root)/\(directory)"
        return try FileSystem.list(path).filter(isWanted).map { "\(path)/\($0)" }
    }

    // MARK: Rows

    /// Opens the file and reads what stands before its rows. Nil where it is gone, or has nothing.
    init?(_ path: String, _ kind: Kind, rank: Int) throws {
        self.path = path
        self.kind = kind
        self.rank = rank
        do { reader = try RecordReader(path, bufferBytes: Limits.catBufferBytes) } catch let error as SystemError
            where error.isNotFound
        { return nil }
        if kind == .anomalies { return }
        guard let line = try reader.next(isQuoting: kind == .csv) else { return nil }
        guard kind == .json else {
            columns = Array(line)
            let last = line.lastIndex(of: UInt8(ascii: ",")).map { $0 + 1 } ?? 0
            hasAllColumns = line[last...].starts(with: "Timestamp(ns)".utf8)
            return
        }
        var parser = RowParser(line)
        guard parser.skip("{\"displayTimeUnit\"") else { throw damaged() }
        if parser.skip(":\"ms\",\"metadata\":{\"resource\":"), parser.text() != nil, parser.skip(",\"host\":"),
            let name = parser.text()
        {
            host = Array(name)
        }
    }

    /// Moves to the next row; false after the last.
    func next() throws -> Bool {
        switch kind {
        case .json: try nextEvent()
        case .csv: try nextCells()
        case .anomalies: try nextFinding()
        }
    }

    private func nextFinding() throws -> Bool {
        repeat {
            guard let line = try reader.next() else { return false }
            row = line
        } while row.isEmpty
        guard let finding = AnomalyLine(row) else { throw damaged() }
        ts = finding.ts
        pid = finding.pid
        return true
    }

    private func nextEvent() throws -> Bool {
        guard let line = try reader.next(), line.first == UInt8(ascii: "{") else { return false }
        let hasComma = line.last == UInt8(ascii: ",")
        row = hasComma ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
        var parser = RowParser(row)
        if parser.skip("{\"ph\":\"M\",\"pid\":") {
            guard let pid = parser.processID() else { throw damaged() }
            content = .name
            self.pid = pid
            return true
        }
        guard parser.skip("{\"ts\":"), let ts = parser.microseconds(), parser.skip(",\"pid\":"),
            let pid = parser.processID()
        else { throw damaged() }
        content = .event
        self.ts = ts
        self.pid = pid
        return true
    }

    /// The row, where it repeats the opening of a call that went on from an earlier file.
    var continuedCall: EventRow? {
        guard kind == .json, content == .event, let event = EventRow(row), event.call?.isContinued == true else {
            return nil
        }
        return event
    }

    /// The host of a table's row or a finding, as it stands there; nil where there is none.
    var hostField: UnsafeRawBufferPointer? {
        if kind == .anomalies { return AnomalyLine(row)?.host }
        guard kind == .csv, let end = row.lastIndex(of: UInt8(ascii: ",")),
            let start = RunRow.fieldStart(row, endingAt: end)
        else { return nil }
        return UnsafeRawBufferPointer(rebasing: row[start..<end])
    }

    /// The process id stands in the second column.
    private func nextCells() throws -> Bool {
        repeat {
            guard let line = try reader.next(isQuoting: true) else { return false }
            row = line
        } while row.isEmpty
        let comma = UInt8(ascii: ",")
        guard let first = row.firstIndex(of: comma), let last = row.lastIndex(of: comma) else { throw damaged() }
        var parser = RowParser(row)
        parser.position = first + 1
        guard let pid = parser.processID() else { throw damaged() }
        parser.position = hasAllColumns ? last + 1 : 0
        guard let number = parser.signed() else { throw damaged() }
        let (ts, overflow) = number.multipliedReportingOverflow(by: hasAllColumns ? 1 : 1_000_000)
        if overflow { throw damaged() }
        self.ts = ts
        self.pid = pid
        return true
    }

    func damaged() -> TraceError { TraceError(.corrupt, "\(path) holds a row that is none of ours") }
}
