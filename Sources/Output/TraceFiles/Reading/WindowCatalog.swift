import Synchronization
import SystemIO
package import TraceModel

/// A published window of a resource: its files, and what the head of its summary states.
package struct CatalogWindow: Sendable {
    /// One final file.
    package struct File: Sendable {
        /// The path below `output/`.
        package let name: String
        /// The directory below `output/`.
        package let kind: String
        package let bytes: Int
        /// The host of a trace as a JSON string; nil for other files, which have all hosts.
        package let host: [UInt8]?

        /// Whether the file has anomalies as JSON.
        package var hasFindings: Bool { kind == "anomalies" && name.contains(".jsonl") }

        /// The path relative to the data directory.
        package var path: String { "\(ClusterPaths.output)/\(name)" }
    }

    /// The first line of a summary file.
    package struct Head: Sendable, Equatable {
        package let events: UInt64
        package let processes: UInt64
        package let firstTs: EpochNanoseconds
        package let lastTs: EpochNanoseconds

        /// Parses the line, an object that is not closed yet. Nil if it is not what `SummaryDocument` writes.
        init?(_ line: UnsafeRawBufferPointer) {
            var parser = unsafe RowParser(line)
            guard parser.skip("{\"resource\":"), unsafe parser.text() != nil,
                parser.skip(",\"events\":"), let events = parser.number(),
                parser.skip(",\"processes\":"), let processes = parser.number(),
                parser.skip(",\"first_ts_ns\":"), let first = parser.signed(),
                parser.skip(",\"last_ts_ns\":"), let last = parser.signed()
            else { return nil }
            (self.events, self.processes) = (events, processes)
            (firstTs, lastTs) = (first, last)
        }
    }

    package let window: FinalWindow
    package let files: [File]
    /// Nil if the window has no summary.
    package let head: Head?

    package var summary: File? { files.first { $0.kind == "summary" } }

    /// Returns whether events of the window may lie in the span, of which nil ends are open. A window without a summary
    /// may have any.
    package func overlaps(from: EpochNanoseconds?, to: EpochNanoseconds?) -> Bool {
        guard let head else { return true }
        return (from.map { head.lastTs >= $0 } ?? true) && (to.map { head.firstTs <= $0 } ?? true)
    }
}

/// The published windows of a data directory. A record never changes, so each is read once. Any thread.
package final class WindowCatalog: Sendable {
    /// What a reading of the catalog found.
    package struct Reading: Sendable {
        /// The newest first.
        package let windows: [CatalogWindow]
        /// Whether these are all windows that have records.
        package let isComplete: Bool
    }

    private let known = Mutex<[FinalWindow: CatalogWindow]>([:])
    private let root: String
    private let windowsMax: Int
    private let filesMax: Int

    /// Creates the catalog of the data directory `root`; empty if it is the current directory. It holds the newest
    /// `windowsMax` windows, fewer where these have more than `filesMax` files.
    package init(root: String = "", windowsMax: Int = .max, filesMax: Int = .max) {
        self.filesMax = filesMax
        self.root = root
        self.windowsMax = windowsMax
    }

    /// Returns the present windows. Blocks on the disk. `checkCancelled` is called for each window, and throws to end the
    /// reading.
    /// - Throws: `SystemError`; whatever `checkCancelled` throws.
    package func read(checkCancelled: () throws -> Void = {}) throws -> Reading {
        let records = FinalWindowRecords(root: root)
        let all = try records.list()
        let newest = all.suffix(windowsMax)
        var windows: [CatalogWindow] = []
        var present: [FinalWindow: CatalogWindow] = [:]
        let before = known.withLock { $0 }
        var files = 0
        var isComplete = newest.count == all.count
        for record in newest.reversed() {
            try checkCancelled()
            let window = try before[record] ?? window(record, records)
            guard let window else { continue }
            files += window.files.count
            guard files <= filesMax else {
                isComplete = false
                break
            }
            windows.append(window)
            present[record] = window
            // A query that is too slow for all of them leaves the next one less to do.
            if before[record] == nil { known.withLock { $0[record] = window } }
        }
        let seen = present
        known.withLock { known in known = known.filter { seen[$0.key] != nil } }
        return Reading(windows: windows, isComplete: isComplete)
    }

    /// Reads a window's record and the heads of its files. Nil if the record is damaged or was removed meanwhile;
    /// retention reports the former.
    private func window(
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
                kind == "json" ? try? FinalWindowRecords.host(ofTrace: absolute(file.path)) : nil
            return CatalogWindow.File(name: name, kind: kind, bytes: file.bytes, host: host ?? nil)
        }
        let summary = files.first { $0.kind == "summary" }
        return CatalogWindow(
            window: record,
            files: files,
            head: summary.flatMap { try? head(absolute($0.path)) }
        )
    }

    private func absolute(_ path: String) -> String { root.isEmpty ? path : "\(root)/\(path)" }

    private func head(_ path: String) throws -> CatalogWindow.Head? {
        let file = try SystemIO.File(path, .read)
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = try unsafe bytes.withUnsafeMutableBytes {
            try unsafe file.read(into: $0, at: 0)
        }
        return unsafe bytes.withUnsafeBytes { bytes in
            guard let end = unsafe bytes.prefix(count).firstIndex(of: 0x0A) else { return nil }
            return unsafe CatalogWindow.Head(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        }
    }
}
