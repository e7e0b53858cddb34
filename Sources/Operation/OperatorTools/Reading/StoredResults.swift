import Glibc
import ObjectStore
import SystemIO
import TraceFiles
package import TraceModel

/// Final files in an object store, for the commands that read those of a data directory: the files of the windows that a
/// command needs are downloaded to a temporary directory of the same form, and removed afterwards.
package struct StoredResults: CustomStringConvertible {
    /// The files that a command reads.
    package struct Selection: Sendable {
        /// Kinds of output by their directories below `output`, as `csv`.
        package var directories: [String]
        package var resources: [Resource]
        /// Inclusive bounds, in nanoseconds since the epoch; nil means unbounded.
        package var from: EpochNanoseconds?
        package var to: EpochNanoseconds?
        /// Only windows of this time in their files' names.
        package var stem: String?
        /// Whether only the newest window of each resource and cell is read.
        package var isLastWindowOnly = false
        /// Whether the directory gets the windows' records, for readers that go by them (`WindowCatalog`).
        package var hasRecords = false

        package init(
            _ directories: [String],
            _ resources: [Resource] = Resource.allCases,
            from: EpochNanoseconds? = nil,
            to: EpochNanoseconds? = nil
        ) {
            self.directories = directories
            self.resources = resources
            self.from = from
            self.to = to
        }
    }

    /// The name that stands for the cells of all clusters.
    package static let allCells = "all"

    /// A finding may be later than the last event of its window: it can be that an event did not come.
    private static let findingNanoseconds: EpochNanoseconds = 86_400_000_000_000
    /// For how long before a span's begin windows are looked for. Windows are named by the time of their end, so this
    /// covers time zones and senders whose clocks are ahead.
    private static let marginSeconds: Int64 = 2 * 86_400

    private let address: ObjectStoreAddress
    private let cell: String

    /// - Parameter cell: A cell's name, or `allCells`.
    package init(_ address: ObjectStoreAddress, cell: String) {
        self.address = address
        self.cell = cell
    }

    package var description: String { "\(address), cell \(cell)" }

    /// Downloads the selected files and calls `body` with the directory that stands in for the data directory. Removes
    /// it afterwards, also where the process is ended by a signal meanwhile. Blocks.
    /// - Throws: `TraceError` where the store cannot be read, has no such cell, or has more than fits; whatever `body`
    ///   throws.
    package func withFiles<Result>(
        _ selection: Selection,
        _ body: (String) throws -> Result
    ) throws -> Result {
        let client = try client()
        let cells = try cells(client)
        var windows: [StoredWindow] = []
        for cell in cells {
            for resource in selection.resources {
                windows += try self.windows(client, cell, resource, selection)
            }
        }
        let directory = try Self.makeDirectory()
        defer { try? FileSystem.removeTree(directory) }
        try checkFits(windows, selection, in: directory)
        for name in selection.directories {
            try FileSystem.createDirectory("\(directory)/\(ClusterPaths.output)/\(name)")
        }
        for window in windows {
            var files: [FinalWindowFile] = []
            for file in window.files where isWanted(file, selection) {
                let name = Self.localName(of: file, window, isOneCell: cells.count == 1)
                let path = "\(ClusterPaths.output)/\(file.directory)/\(name)"
                try Self.download(
                    client,
                    window.name(of: file),
                    bytes: file.bytes,
                    to: "\(directory)/\(path)"
                )
                files.append(FinalWindowFile(path: path, bytes: file.bytes))
            }
            if selection.hasRecords, let record = Self.finalWindow(of: window) {
                try FinalWindowRecords(root: directory).publish(record, files: files)
            }
        }
        return try body(directory)
    }

    /// Opens a client; no request is sent yet.
    func client() throws -> S3Client { try S3Client(address, try ObjectStoreAccess()) }

    /// Whether one cell is read, and not all.
    var isOneCell: Bool { cell != Self.allCells }

    // MARK: Windows

    private static func finalWindow(of window: StoredWindow) -> FinalWindow? {
        Resource(name: window.resource).flatMap {
            finalWindow(window.cell, $0, window.window, stem: window.stem)
        }
    }

    /// Returns what stands for a window among those of a directory; nil where the stem has no time. Windows of several
    /// cells have the same numbers, so the number gets some bits of the cell's name in front.
    static func finalWindow(
        _ cell: String,
        _ resource: Resource,
        _ number: UInt64,
        stem: String
    ) -> FinalWindow? {
        guard let seconds = seconds(ofStem: stem) else { return nil }
        var name = cell
        let hash = name.withUTF8 { unsafe Slot.hash(host: UnsafeRawBufferPointer($0)) }
        // Below 2^53, so that JavaScript has it exactly.
        let bits = UInt64(hash) & 0xFFF
        return FinalWindow(resource: resource, window: bits << 40 | number, finalAt: seconds)
    }

    /// Returns the seconds since the epoch of a stem that begins with `yyyymmdd_hhmmss`, as if that was UTC.
    private static func seconds(ofStem stem: String) -> Int64? {
        let bytes = Array(stem.utf8.prefix(15))
        guard bytes.count == 15, bytes[8] == UInt8(ascii: "_") else { return nil }
        func number(_ range: Range<Int>) -> Int32? {
            Int32(String(decoding: bytes[range], as: UTF8.self))
        }
        guard let year = number(0..<4), let month = number(4..<6), let day = number(6..<8),
            let hour = number(9..<11), let minute = number(11..<13), let second = number(13..<15)
        else { return nil }
        var parts = unsafe tm()
        unsafe parts.tm_year = year - 1_900
        unsafe parts.tm_mon = month - 1
        unsafe parts.tm_mday = day
        unsafe parts.tm_hour = hour
        unsafe parts.tm_min = minute
        unsafe parts.tm_sec = second
        return unsafe Int64(timegm(&parts))
    }

    func cells(_ client: S3Client) throws -> [String] {
        let all = try client.directories("")
        guard cell != Self.allCells else {
            guard !all.isEmpty else {
                throw TraceError(
                    .notFound,
                    "there is nothing below \(address)",
                    remedy: "Correct --object-store, or wait until a window is final and uploaded"
                )
            }
            return all
        }
        guard all.contains(cell) else {
            throw TraceError(
                .notFound,
                "there is no cell \(cell) below \(address)",
                remedy: all.isEmpty
                    ? "Correct --object-store, or wait until a window is final and uploaded"
                    : "Name one of these with --cell, or all: \(all.joined(separator: ", "))"
            )
        }
        return [cell]
    }

    /// Returns the selected windows of a resource, oldest first.
    private func windows(
        _ client: S3Client,
        _ cell: String,
        _ resource: Resource,
        _ selection: Selection
    ) throws -> [StoredWindow] {
        let prefix = StoredWindow.records(cell, resource.name)
        var names: [String] = []
        let start = selection.from.map {
            prefix + Self.day($0 / 1_000_000_000 - Self.marginSeconds)
        }
        try client.list(prefix, after: start ?? "") { object in
            if let stem = selection.stem, !object.name.contains("/\(stem)_") { return }
            if selection.isLastWindowOnly { names.removeAll() }
            names.append(object.name)
        }
        var windows: [StoredWindow] = []
        // The last window before the span: calls that are open at its end are open at the span's begin.
        var before: StoredWindow?
        for name in names {
            guard
                let bytes = try client.contents(of: name, bytesMax: Limits.objectRecordBytesMax)
            else { continue }
            let window = try StoredWindow(bytes)
            if let stem = selection.stem, window.stem != stem { continue }
            if let to = selection.to, let first = window.firstTsNs, first > to { continue }
            if let from = selection.from, let last = window.lastTsNs,
                last < from - (selection.directories == ["anomalies"] ? Self.findingNanoseconds : 0)
            {
                if last >= before?.lastTsNs ?? .min { before = window }
                continue
            }
            windows.append(window)
        }
        if resource == .function, selection.directories.contains("json"), let before {
            windows.insert(before, at: 0)
        }
        return windows
    }

    /// Returns `yyyy/mm/dd` in UTC.
    private static func day(_ seconds: Int64) -> String {
        var (seconds, parts) = (time_t(seconds), unsafe tm())
        unsafe gmtime_r(&seconds, &parts)
        let (year, month, day) = unsafe (
            parts.tm_year + 1_900, parts.tm_mon + 1, parts.tm_mday
        )
        func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)/\(padded(month))/\(padded(day))"
    }

    private func isWanted(_ file: StoredWindow.File, _ selection: Selection) -> Bool {
        file.isMissing != true && selection.directories.contains(String(file.directory))
    }

    // MARK: Files

    /// Returns a file's name. Windows of several cells may end in the same second, so the cell follows the time.
    static func localName(
        of file: StoredWindow.File,
        _ window: StoredWindow,
        isOneCell: Bool
    ) -> String {
        let name = String(file.name)
        guard !isOneCell, let stem = name.firstRange(of: window.stem) else { return name }
        return "\(name[..<stem.upperBound])-\(window.cell)\(name[stem.upperBound...])"
    }

    private func checkFits(
        _ windows: [StoredWindow],
        _ selection: Selection,
        in directory: String
    ) throws {
        var bytes = 0
        for window in windows {
            for file in window.files where isWanted(file, selection) { bytes += file.bytes }
        }
        // Others that use the disk keep half of what is free.
        let room = min(
            try FileSystem.freeBytes(at: directory) / 2,
            Limits.objectDownloadBytesMax
        )
        guard bytes > room else { return }
        throw TraceError(
            .exhausted,
            "the files of these \(windows.count) windows have \(bytes >> 20) MiB, and there is room for"
                + " \(room >> 20) MiB in \(FileSystem.parent(of: directory))",
            remedy: "Narrow the time with --from and --to, or name a larger directory in TMPDIR"
        )
    }

    static func download(
        _ client: S3Client,
        _ name: String,
        bytes: Int,
        to path: String
    ) throws {
        let file = try File(path, .replace)
        var offset = 0
        try unsafe client.get(name, range: 0..<bytes) { piece in
            try unsafe file.write(piece, at: offset)
            offset += piece.count
        }
    }

    /// Creates a directory of this process. Those that killed processes have left are removed.
    private static func makeDirectory() throws -> String {
        let parent = Readiness.environment("TMPDIR").flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        let prefix = "tracectl-files.\(getuid())."
        for name in try FileSystem.list(parent) where name.hasPrefix(prefix) {
            guard let pid = pid_t(name.dropFirst(prefix.count)), kill(pid, 0) != 0, errno == ESRCH
            else { continue }
            try? FileSystem.removeTree("\(parent)/\(name)")
        }
        let directory = "\(parent)/\(prefix)\(getpid())"
        guard unsafe mkdir(directory, 0o700) == 0 else {
            throw SystemError(errno: errno, call: "mkdir", subject: directory)
        }
        // No other thread runs yet, so none gets the signals.
        SignalReceiver.blockAll()
        _ = DedicatedThread("signals") {
            let signal = SignalReceiver.wait(for: [SIGINT, SIGTERM, SIGHUP])
            try? FileSystem.removeTree(directory)
            // At once: the main thread may be using what an ordinary exit frees.
            _exit(128 + signal)
        }
        return directory
    }
}
