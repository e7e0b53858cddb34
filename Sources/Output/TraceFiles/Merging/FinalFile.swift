import Compression
import SystemIO
package import TraceModel

/// A window whose files are final, as its record describes it.
package struct FinalWindow: Sendable, Hashable {
    package let resource: Resource
    package let window: UInt64
    /// When the files became final, in seconds since the epoch.
    package let finalAt: Int64

    package init(resource: Resource, window: UInt64, finalAt: Int64) {
        self.resource = resource
        self.window = window
        self.finalAt = finalAt
    }

    /// The name of the record. Names sort by age, the oldest first.
    var recordName: String {
        let digits = String(max(finalAt, 0))
        let zeros = String(repeating: "0", count: max(0, 12 - digits.count))
        return "\(zeros)\(digits)_\(resource.name)_\(window)"
    }

    /// Parses the name of a record; nil for any other name.
    init?(recordName: String) {
        let parts = recordName.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, let finalAt = Int64(parts[0]),
            let resource = Resource(name: String(parts[1])),
            let window = UInt64(parts[2])
        else { return nil }
        self.init(resource: resource, window: window, finalAt: finalAt)
        guard self.recordName == recordName else { return nil }
    }
}

/// A file of a window, as its record describes it.
package struct FinalWindowFile: Sendable, Equatable {
    /// Relative to the data directory.
    package let path: String
    package let bytes: Int

    package init(path: String, bytes: Int) {
        self.path = path
        self.bytes = bytes
    }
}

/// Reads one final file row by row, with the keys by which its rows are ordered. Views are valid until the next row.
@safe
final class FinalFile {
    /// Formats of final files.
    enum Kind {
        case json
        case csv
        /// One JSON object per line, one line per anomaly.
        case anomalies
    }

    /// What a row describes.
    enum Content {
        case event
        /// The name of a process or thread. Names follow all events and have no time.
        case name
    }

    let kind: Kind
    let path: String
    /// Position among the files. Decides between equal times.
    let rank: Int
    /// The first row of a table.
    private(set) var columns: [UInt8] = []
    /// The host of a trace as a JSON string with its quotes; empty if the file names none.
    private(set) var host: [UInt8] = []
    /// The stem in the names of a trace's window; empty if the file names none.
    private(set) var stem: [UInt8] = []
    /// The number of the window of a trace; 0 if the file names none.
    private(set) var window: UInt64 = 0

    private(set) var content = Content.event
    private(set) var row = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var ts: EpochNanoseconds = 0
    private(set) var pid: UInt32 = 0

    private let reader: RecordReader
    private let budget: ReadingBudget?
    private var takenBytes = 0
    var isCompressed: Bool { reader.isCompressed }
    /// Whether a table has all columns, of which the last two are the host and the time in nanoseconds. Otherwise it
    /// has the original columns only, and the first one is the time in milliseconds.
    private(set) var hasAllColumns = true

    // MARK: Names

    /// All forms of a file name's ending: plain and with the suffix of each compression.
    static func endings(_ plain: String) -> [String] {
        [plain] + FileCompression.allCases.map { plain + $0.suffix }
    }

    /// Returns the sorted paths of the final files whose names are wanted. `root` is the data directory, empty if it is
    /// the current directory. Blocks.
    static func paths(
        of kind: OutputKind,
        root: String,
        where isWanted: (String) -> Bool
    ) throws -> [String] {
        let directory = "\(ClusterPaths.output)/\(kind.directory)"
        let path = root.isEmpty ? directory : "\(root)/\(directory)"
        return try FileSystem.list(path).filter(isWanted).map { "\(path)/\($0)" }
    }

    /// Returns the sorted paths of the traces or tables of one resource, see above.
    static func paths(of kind: OutputKind, _ resource: Resource, root: String) throws -> [String] {
        let prefix = "\(resource.name)_trace_"
        let endings = endings(".json") + endings(".csv")
        return try paths(of: kind, root: root) { name in
            name.hasPrefix(prefix) && endings.contains { name.hasSuffix($0) }
        }
    }

    // MARK: Rows

    /// Opens the file and reads what precedes its rows. Nil if the file is gone or empty. Its buffers are taken from
    /// `budget` as long as it is open.
    init?(_ path: String, _ kind: Kind, rank: Int, budget: ReadingBudget? = nil) throws {
        self.budget = budget
        self.path = path
        self.kind = kind
        self.rank = rank
        do { reader = try RecordReader(path, bufferBytes: Limits.catBufferBytes) } catch let error
            as SystemError
            where error.isNotFound
        { return nil }
        let bytes = Limits.catBufferBytes * (reader.isCompressed ? Self.buffersExpanding : 1)
        try budget?.take(bytes)
        takenBytes = bytes
        if kind == .anomalies { return }
        guard let line = try unsafe reader.next(isQuoting: kind == .csv) else { return nil }
        guard kind == .json else {
            columns = unsafe Array(line)
            let last = unsafe line.lastIndex(of: UInt8(ascii: ",")).map { $0 + 1 } ?? 0
            hasAllColumns = unsafe line[last...].starts(with: "Timestamp(ns)".utf8)
            return
        }
        var parser = unsafe RowParser(line)
        guard parser.skip("{\"displayTimeUnit\"") else { throw damaged() }
        if parser.skip(":\"ms\",\"metadata\":{\"resource\":"), unsafe parser.text() != nil,
            parser.skip(",\"host\":"),
            let name = unsafe parser.text()
        {
            host = unsafe Array(name)
            if parser.skip(",\"stem\":"), let name = unsafe parser.text() {
                stem = unsafe Array(name.dropFirst().dropLast())
                if parser.skip(",\"window\":") { window = parser.number() ?? 0 }
            }
        }
    }

    /// What decompressing takes, in buffers.
    private static let buffersExpanding = 6

    deinit { budget?.give(takenBytes) }

    /// Moves to the next row; returns false after the last one.
    func next() throws -> Bool {
        switch kind {
        case .json: try nextEvent()
        case .csv: try nextCells()
        case .anomalies: try nextFinding()
        }
    }

    private func nextFinding() throws -> Bool {
        repeat {
            guard let line = try unsafe reader.next() else { return false }
            unsafe row = unsafe line
        } while unsafe row.isEmpty
        guard let finding = unsafe AnomalyLine(row) else { throw damaged() }
        ts = finding.ts
        pid = finding.pid
        return true
    }

    private func nextEvent() throws -> Bool {
        guard let line = try unsafe reader.next(), unsafe line.first == UInt8(ascii: "{") else {
            return false
        }
        let hasComma = unsafe line.last == UInt8(ascii: ",")
        unsafe row = unsafe hasComma ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
        var parser = unsafe RowParser(row)
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

    /// The current row, if it repeats the begin of a call that continues from an earlier file.
    var continuedCall: EventRow? {
        guard kind == .json, content == .event, let event = unsafe EventRow(row),
            event.call?.isContinued == true
        else {
            return nil
        }
        return event
    }

    /// The host of a table's row or an anomaly, as it is written there; nil if there is none.
    var hostField: UnsafeRawBufferPointer? {
        if kind == .anomalies { return unsafe AnomalyLine(row)?.host }
        guard kind == .csv, let end = unsafe row.lastIndex(of: UInt8(ascii: ",")),
            let start = unsafe RunRow.fieldStart(row, endingAt: end)
        else { return nil }
        return unsafe UnsafeRawBufferPointer(rebasing: row[start..<end])
    }

    /// Reads a table's row. The process id is in the second column.
    private func nextCells() throws -> Bool {
        repeat {
            guard let line = try unsafe reader.next(isQuoting: true) else { return false }
            unsafe row = unsafe line
        } while unsafe row.isEmpty
        let comma = UInt8(ascii: ",")
        guard let first = unsafe row.firstIndex(of: comma),
            let last = unsafe row.lastIndex(of: comma)
        else {
            throw damaged()
        }
        var parser = unsafe RowParser(row)
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

    func damaged() -> TraceError {
        TraceError(.corrupt, "\(path) contains a row in an unknown form")
    }
}

/// The records of final windows. `output/.merge/final/<seconds>_<resource>_<window>` is the manifest of a window's
/// merge, kept afterwards so that retention deletes exactly the files that were written. An empty file of the same name in
/// `output/.merge/uploaded` says that the window's files are in the object store. Blocks.
package struct FinalWindowRecords: Sendable {
    /// What a removal deleted.
    package struct Removal: Sendable, Equatable {
        package var files = 0
        package var bytes: UInt64 = 0
    }

    private static let directory = "\(MergeManifest.directory)/final"
    private static let uploadedDirectory = "\(MergeManifest.directory)/uploaded"
    private let root: String

    /// Uses the data directory `root`; empty if it is the current directory.
    package init(root: String = "") { self.root = root }

    /// Returns all recorded windows, oldest first.
    package func list() throws -> [FinalWindow] {
        // Names start with the time in a fixed width, so they sort by time.
        try FileSystem.list(absolute(Self.directory)).compactMap { FinalWindow(recordName: $0) }
    }

    /// Turns the manifest of a finished merge into the window's record. Does nothing if there is no manifest (a window
    /// without events). A power loss may undo it; `addMerged` repeats it.
    package func add(_ window: FinalWindow) throws {
        let manifest = absolute(MergeManifest.path(window.resource, window: window.window))
        guard FileSystem.exists(manifest) else { return }
        try FileSystem.createDirectory(absolute(Self.directory))
        // A mirror without its manifest would be taken for the manifest of an unfinished merge.
        try FileSystem.remove(MergeManifest.mirror(of: manifest))
        try FileSystem.rename(manifest, to: path(window))
    }

    /// Records a window whose files are in place already, as those that were downloaded.
    package func publish(_ window: FinalWindow, files: [FinalWindowFile]) throws {
        var manifest = MergeManifest()
        manifest.outputs = files.map {
            MergeManifest.Output(source: $0.path, target: $0.path, bytes: $0.bytes)
        }
        manifest.isDone = true
        try FileSystem.createDirectory(absolute(Self.directory))
        try manifest.publish(to: path(window))
        // A record has no second copy.
        try FileSystem.remove(MergeManifest.mirror(of: path(window)))
    }

    /// Calls `add` for the windows up to the last merged one of each resource that still have a manifest after a crash.
    package func addMerged(upTo marks: [Resource: UInt64], at seconds: Int64) throws {
        for name in try FileSystem.list(absolute(MergeManifest.directory)) {
            let parts = name.split(separator: "_", omittingEmptySubsequences: false)
            guard parts.count == 2, let resource = Resource(name: String(parts[0])),
                let window = UInt64(parts[1]),
                let last = marks[resource], window <= last
            else { continue }
            try add(FinalWindow(resource: resource, window: window, finalAt: seconds))
        }
    }

    /// Returns the window's final files, relative to the data directory. Throws `corrupt` if the record is damaged.
    package func files(of window: FinalWindow) throws -> [String] {
        try MergeManifest(contentsOf: path(window))?.outputs.map(\.target) ?? []
    }

    /// Returns the window's files that still have the length they were written with.
    /// - Throws: `TraceError(.corrupt)` if the record is damaged.
    package func standingFiles(of window: FinalWindow) throws -> [FinalWindowFile] {
        try standing(window).map { FinalWindowFile(path: $0.target, bytes: $0.bytes) }
    }

    /// Returns the host of a trace as the JSON string in the file's head; nil if the file is gone or names none. Blocks.
    package static func host(ofTrace path: String) throws -> [UInt8]? {
        guard let host = try FinalFile(path, .json, rank: 0)?.host, !host.isEmpty else {
            return nil
        }
        return host
    }

    /// Returns the total size of the window's files that still have the length they were written with. A file with
    /// another length no longer belongs to the cluster.
    /// - Throws: `TraceError(.corrupt)` if the record is damaged.
    package func bytes(of window: FinalWindow) throws -> UInt64 {
        try standing(window).reduce(0) { $0 + UInt64($1.bytes) }
    }

    /// Removes the window's files, then its record, so that a removal interrupted by a crash is repeated. Leaves files
    /// alone that do not have the length they were written with. Throws `corrupt` if the record is damaged.
    package func remove(_ window: FinalWindow) throws -> Removal {
        var removal = Removal()
        let files = try standing(window)
        for file in files {
            try FileSystem.remove(absolute(file.target))
            removal.files += 1
            removal.bytes += UInt64(file.bytes)
        }
        for directory in Set(files.map { FileSystem.parent(of: $0.target) }) {
            try FileSystem.syncDirectory(absolute(directory))
        }
        try FileSystem.remove(path(window))
        try FileSystem.remove(uploadedMark(window))
        return removal
    }

    // MARK: Uploads

    /// Returns all files of a window with the sizes they were written with; none if it has no record.
    /// - Throws: `TraceError(.corrupt)` if the record is damaged.
    package func writtenFiles(of window: FinalWindow) throws -> [FinalWindowFile] {
        try MergeManifest(contentsOf: path(window))?.outputs.map {
            FinalWindowFile(path: $0.target, bytes: $0.bytes)
        } ?? []
    }

    /// Records durably that the window's files are in the object store.
    package func markUploaded(_ window: FinalWindow) throws {
        try FileSystem.createDirectory(absolute(Self.uploadedDirectory))
        try unsafe FileSystem.publish(
            uploadedMark(window),
            UnsafeRawBufferPointer(start: nil, count: 0)
        )
    }

    /// Returns whether `markUploaded` was called for the window.
    package func isUploaded(_ window: FinalWindow) -> Bool {
        FileSystem.exists(uploadedMark(window))
    }

    /// Returns the recorded windows that are not uploaded, oldest first.
    package func listNotUploaded() throws -> [FinalWindow] {
        let uploaded = Set(try FileSystem.list(absolute(Self.uploadedDirectory)))
        return try FileSystem.list(absolute(Self.directory)).compactMap {
            uploaded.contains($0) ? nil : FinalWindow(recordName: $0)
        }
    }

    private func uploadedMark(_ window: FinalWindow) -> String {
        absolute("\(Self.uploadedDirectory)/\(window.recordName)")
    }

    private func standing(_ window: FinalWindow) throws -> [MergeManifest.Output] {
        guard let manifest = try MergeManifest(contentsOf: path(window)) else { return [] }
        return manifest.outputs.filter { FileSystem.size(absolute($0.target)) == $0.bytes }
    }

    private func path(_ window: FinalWindow) -> String {
        absolute("\(Self.directory)/\(window.recordName)")
    }

    private func absolute(_ path: String) -> String { root.isEmpty ? path : "\(root)/\(path)" }
}
