import Foundation
import Synchronization
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

/// A published window of a resource: its files, and what the head of its summary states.
struct CatalogWindow: Sendable {
    /// One final file.
    struct File: Sendable {
        /// The path below `output/`.
        let name: String
        /// The directory below `output/`.
        let kind: String
        let bytes: Int
        /// The host of a trace as a JSON string; nil for other files, which have all hosts.
        let host: [UInt8]?

        /// The path relative to the data directory.
        var path: String { "\(ClusterPaths.output)/\(name)" }
    }

    /// The first line of a summary file.
    struct Head: Sendable, Decodable {
        let events: UInt64
        let processes: UInt64
        let firstTsNs: EpochNanoseconds
        let lastTsNs: EpochNanoseconds
    }

    let window: FinalWindow
    let files: [File]
    /// Nil if the window has no summary.
    let head: Head?

    var summary: File? { files.first { $0.kind == "summary" } }

    /// Returns whether events of the window may lie in the span. A window without a summary may have any.
    func overlaps(_ span: QuerySpan) -> Bool {
        head.map { span.overlaps($0.firstTsNs, $0.lastTsNs) } ?? true
    }
}

/// The published windows of the data directory, which is the working directory. A record never changes, so each is read
/// once.
final class WindowCatalog: Sendable {
    /// What a reading of the catalog found.
    struct Reading: Sendable {
        /// The newest first.
        let windows: [CatalogWindow]
        /// Whether these are all windows that have records.
        let isComplete: Bool
    }

    private let known = Mutex<[FinalWindow: CatalogWindow]>([:])
    private let windowsMax: Int

    init(windowsMax: Int = Limits.consoleWindowsMax) { self.windowsMax = windowsMax }

    /// Returns the present windows. Blocks on the disk.
    /// - Throws: `QueryFailure` if the query has to end; `SystemError`.
    func read(_ context: QueryContext) throws -> Reading {
        let records = FinalWindowRecords()
        let all = try records.list()
        let newest = all.suffix(windowsMax)
        var windows: [CatalogWindow] = []
        var present: [FinalWindow: CatalogWindow] = [:]
        let before = known.withLock { $0 }
        for record in newest.reversed() {
            try context.check()
            let window = try before[record] ?? Self.window(record, records)
            guard let window else { continue }
            windows.append(window)
            present[record] = window
            // A query that is too slow for all of them leaves the next one less to do.
            if before[record] == nil { known.withLock { $0[record] = window } }
        }
        let seen = present
        known.withLock { known in known = known.filter { seen[$0.key] != nil } }
        return Reading(windows: windows, isComplete: newest.count == all.count)
    }

    /// Reads a window's record and the heads of its files. Nil if the record is damaged or was removed meanwhile;
    /// retention reports the former.
    private static func window(
        _ record: FinalWindow,
        _ records: FinalWindowRecords
    ) throws -> CatalogWindow? {
        guard let standing = try? records.standingFiles(of: record) else { return nil }
        let prefix = "\(ClusterPaths.output)/"
        let files = standing.compactMap { file -> CatalogWindow.File? in
            guard file.path.hasPrefix(prefix) else { return nil }
            let name = String(file.path.dropFirst(prefix.count))
            let kind = String(name.prefix { $0 != "/" })
            let host =
                kind == "json" ? try? FinalWindowRecords.host(ofTrace: file.path) : nil
            return CatalogWindow.File(name: name, kind: kind, bytes: file.bytes, host: host ?? nil)
        }
        let summary = files.first { $0.kind == "summary" }
        return CatalogWindow(
            window: record,
            files: files,
            head: summary.flatMap { try? head($0.path) }
        )
    }

    /// Reads the first line of a summary file, which ends within an object.
    private static func head(_ path: String) throws -> CatalogWindow.Head? {
        let file = try SystemIO.File(path, .read)
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = try unsafe bytes.withUnsafeMutableBytes {
            try unsafe file.read(into: $0, at: 0)
        }
        guard let end = bytes.prefix(count).firstIndex(of: UInt8(ascii: "\n")), end > 0,
            bytes[end - 1] == UInt8(ascii: ",")
        else { return nil }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let object = Data(bytes[..<(end - 1)]) + Data("}".utf8)
        return try decoder.decode(CatalogWindow.Head.self, from: object)
    }

    /// Reads a window's summary; nil if it has none, or retention has removed it meanwhile. Blocks.
    /// - Throws: `TraceError` if the file is damaged or too large.
    static func summary(of window: CatalogWindow) throws -> WindowSummary? {
        guard let file = window.summary else { return nil }
        guard file.bytes <= Limits.summaryReadBytesMax else {
            throw TraceError(.exhausted, "\(file.path) is too large to be read here")
        }
        do {
            return try SummaryFile.summary(in: try FileSystem.contents(file.path))
        } catch let error as SystemError where error.isNotFound {
            return nil
        } catch let error as TraceError {
            throw TraceError(
                .corrupt,
                "\(file.path) can't be read",
                remedy: "Move it away to see the other windows",
                cause: error
            )
        }
    }
}
