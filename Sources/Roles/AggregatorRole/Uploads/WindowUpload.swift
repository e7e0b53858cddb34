import ObjectStore
import SystemIO
import TraceFiles
import TraceModel

/// Uploads one window: its final files, then its record, which says that the window is complete. Names come from the
/// barrier and files are deterministic, so an upload that is repeated after a crash writes the same. Blocks.
struct WindowUpload {
    /// What an upload sent.
    struct Sent: Equatable {
        var files = 0
        var bytes: UInt64 = 0
    }

    let client: S3Client
    let cell: String
    let records: FinalWindowRecords
    /// The data directory; empty if it is the current directory.
    var root = ""

    /// Uploads a window and marks it as uploaded. Returns nil for a window without events, which has no record.
    /// - Throws: `TraceError`; the upload can then be repeated. `SystemError`.
    func upload(_ window: FinalWindow) throws -> Sent? {
        var sent = Sent()
        let files = try records.writtenFiles(of: window)
        guard !files.isEmpty else { return nil }
        guard var record = record(of: window, files) else {
            throw TraceError(
                .corrupt,
                "the final files of \(window.resource.name) window \(window.window) have unknown names"
            )
        }
        // A crash may have come after the record, or amid it.
        let stored = try storedRecord(of: record)
        if stored != .whole {
            for index in files.indices {
                if try upload(files[index], as: record.name(of: record.files[index])) {
                    sent.files += 1
                    sent.bytes += UInt64(files[index].bytes)
                } else {
                    record.files[index].isMissing = true
                }
            }
            let bytes = try record.encoded()
            if stored == .cutShort {
                try client.put(bytes, as: record.name)
            } else if try !client.putIfAbsent(bytes, as: record.name) {
                _ = try storedRecord(of: record)
            }
        }
        try records.markUploaded(window)
        return sent
    }

    /// What the store has of a record.
    private enum StoredRecord {
        case none
        /// Some stores keep what has arrived of an upload that broke off.
        case cutShort
        case whole
    }

    /// Returns what the store has of the record.
    /// - Throws: `TraceError(.configuration)` if it has a record of other files under this name.
    private func storedRecord(of record: StoredWindow) throws -> StoredRecord {
        let bytes = try client.contents(of: record.name, bytesMax: Limits.objectRecordBytesMax)
        guard let bytes else { return .none }
        guard StoredWindow.isWhole(bytes) else { return .cutShort }
        guard try StoredWindow(bytes).isSame(as: record) else {
            throw TraceError(
                .configuration,
                "the object store has other files of \(record.resource) window \(record.window)"
                    + " (\(record.name)): another cluster uses the cell \(cell)",
                remedy: "Give each cluster that shares the bucket and prefix a --cell of its own"
            )
        }
        return .whole
    }

    /// Returns false if a reader has taken the file away.
    private func upload(_ file: FinalWindowFile, as name: String) throws -> Bool {
        let path = root.isEmpty ? file.path : "\(root)/\(file.path)"
        guard FileSystem.size(path) == file.bytes else {
            // An attempt before may have uploaded it.
            return try client.size(of: name) == file.bytes
        }
        try client.put(file: path, bytes: file.bytes, as: name)
        return true
    }

    private func record(of window: FinalWindow, _ files: [FinalWindowFile]) -> StoredWindow? {
        let output = "\(ClusterPaths.output)/"
        let summary = "\(output)summary/summary_"
        let ending = "_\(window.resource.name).json"
        let path = files.first { $0.path.hasPrefix(summary) && $0.path.hasSuffix(ending) }?.path
        let stem = path.map { String($0.dropFirst(summary.count).dropLast(ending.count)) }
        return StoredWindow(
            cell: cell,
            resource: window.resource,
            window: window.window,
            // Without a summary the name of any file tells the second.
            stem: stem ?? Self.second(in: files[0].path),
            span: path.flatMap(span),
            files: files.map {
                StoredWindow.File(path: String($0.path.dropFirst(output.count)), bytes: $0.bytes)
            }
        )
    }

    /// Returns the first `YYYYmmdd_HHMMSS` in a name; empty if there is none.
    private static func second(in path: String) -> String {
        let bytes = Array(path.utf8)
        let count = 15
        guard bytes.count >= count else { return "" }
        for start in 0...(bytes.count - count) {
            let part = bytes[start..<start + count]
            let isSecond = part.enumerated().allSatisfy { offset, byte in
                offset == 8 ? byte == UInt8(ascii: "_") : (0x30...0x39).contains(byte)
            }
            if isSecond { return String(decoding: part, as: UTF8.self) }
        }
        return ""
    }

    /// Reads the times of a window's first and last event from the head of its summary.
    private func span(ofSummary path: String) -> ClosedRange<EpochNanoseconds>? {
        guard let file = try? File(root.isEmpty ? path : "\(root)/\(path)", .read) else {
            return nil
        }
        var head = [UInt8](repeating: 0, count: 512)
        let count = try? unsafe head.withUnsafeMutableBytes {
            try unsafe file.read(into: $0, at: 0)
        }
        let text = String(decoding: head.prefix(count ?? 0), as: UTF8.self)
        func number(_ key: String) -> EpochNanoseconds? {
            text.firstRange(of: "\"\(key)\":").flatMap { range in
                EpochNanoseconds(text[range.upperBound...].prefix { $0 == "-" || $0.isNumber })
            }
        }
        guard let first = number("first_ts_ns"), let last = number("last_ts_ns"), first <= last,
            last > 0
        else { return nil }
        return first...last
    }
}
