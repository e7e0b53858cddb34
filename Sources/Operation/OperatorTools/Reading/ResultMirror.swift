import ObjectStore
import SystemIO
import TraceFiles
import TraceModel

/// Keeps the newest windows of an object store in a directory that has the form of a data directory. So a console, and
/// commands, read them as those of a cluster on this machine. One at a time for each directory.
package struct ResultMirror {
    /// What an update has changed.
    package struct Changes: Equatable, Sendable {
        package var added = 0
        package var removed = 0
        /// Windows of the store for which there is no room beside newer ones.
        package var leftOut = 0
    }

    /// A window by the name of its record in the store.
    private struct Entry {
        let record: String
        let stem: Substring
        let window: FinalWindow
    }

    /// Says what the directory mirrors. Without it nothing in a directory is removed.
    private static let marker = "mirror"
    private static let partSuffix = ".part"

    private let results: StoredResults
    private let directory: String
    private let bytesMax: Int
    private let records: FinalWindowRecords

    /// - Parameters:
    ///   - directory: The directory to fill; created where it does not exist.
    ///   - bytesMax: The most bytes of final files to keep.
    /// - Throws: `TraceError(.invalidArgument)` where the directory has other contents.
    package init(_ results: StoredResults, directory: String, bytesMax: Int) throws {
        self.results = results
        self.directory = directory
        self.bytesMax = bytesMax
        records = FinalWindowRecords(root: directory)
        try FileSystem.createDirectory("\(directory)/\(ClusterPaths.output)/summary")
        try takeDirectory()
    }

    private func takeDirectory() throws {
        let path = "\(directory)/\(Self.marker)"
        let text = "\(results.description)\n"
        if FileSystem.exists(path) {
            let other = String(decoding: try FileSystem.contents(path), as: UTF8.self)
            guard other == text else {
                throw TraceError(
                    .invalidArgument,
                    "\(directory) mirrors \(other.dropLast())",
                    remedy: "Name another directory with --data"
                )
            }
            return
        }
        guard try records.list().isEmpty, try FileSystem.list(directory) == [ClusterPaths.output]
        else {
            throw TraceError(
                .invalidArgument,
                "\(directory) has contents of its own, which a mirror would remove",
                remedy: "Name a new directory with --data"
            )
        }
        try FileSystem.publish(path, text: text)
    }

    /// Makes the directory hold the newest windows that fit. Blocks.
    /// - Throws: `TraceError` where the store cannot be read or has no such cell. What was downloaded stays, and the
    ///   next update goes on from there.
    package func update() throws -> Changes {
        let client = try results.client()
        let entries = try entries(client)
        let present = Set(try records.list())
        var changes = Changes()
        var (kept, total) = (Set<FinalWindow>(), 0)
        var missing: [(stored: StoredWindow, window: FinalWindow)] = []
        for (index, entry) in entries.enumerated() {
            let isPresent = present.contains(entry.window)
            let stored = try isPresent ? nil : storedWindow(client, entry.record)
            let bytes = try isPresent ? Int(records.bytes(of: entry.window)) : stored?.presentBytes
            guard let bytes else { continue }
            guard total + bytes <= bytesMax else {
                changes.leftOut = entries.count - index
                break
            }
            total += bytes
            kept.insert(entry.window)
            if let stored { missing.append((stored, entry.window)) }
        }
        for window in present.subtracting(kept) {
            _ = try records.remove(window)
            changes.removed += 1
        }
        for (stored, window) in missing {
            try download(client, stored, as: window)
            changes.added += 1
        }
        return changes
    }

    /// Returns all windows of the cells, the newest first. Of one moment, the order only has to be always the same.
    private func entries(_ client: S3Client) throws -> [Entry] {
        var entries: [Entry] = []
        for cell in try results.cells(client) {
            for resource in Resource.allCases {
                try client.list(StoredWindow.records(cell, resource.name)) { object in
                    if let entry = Self.entry(object.name, cell, resource) { entries.append(entry) }
                }
            }
        }
        return entries.sorted { ($0.stem, $0.record) > ($1.stem, $1.record) }
    }

    private static func entry(_ name: String, _ cell: String, _ resource: Resource) -> Entry? {
        guard let file = name.split(separator: "/").last, file.hasSuffix(".json"),
            let line = file.lastIndex(of: "_"),
            let number = UInt64(file[file.index(after: line)...].dropLast(".json".count))
        else { return nil }
        let stem = file[..<line]
        guard
            let window = StoredResults.finalWindow(cell, resource, number, stem: String(stem))
        else { return nil }
        return Entry(record: name, stem: stem, window: window)
    }

    /// Reads a window's record; nil where it has gone.
    private func storedWindow(_ client: S3Client, _ record: String) throws -> StoredWindow? {
        try client.contents(of: record, bytesMax: Limits.objectRecordBytesMax).map {
            try StoredWindow($0)
        }
    }

    private func download(
        _ client: S3Client,
        _ stored: StoredWindow,
        as window: FinalWindow
    ) throws {
        var files: [FinalWindowFile] = []
        for file in stored.files where file.isMissing != true {
            let name = StoredResults.localName(of: file, stored, isOneCell: results.isOneCell)
            let path = "\(ClusterPaths.output)/\(file.directory)/\(name)"
            let target = "\(directory)/\(path)"
            try FileSystem.createDirectory(FileSystem.parent(of: target))
            // Readers do not take it for a final file yet.
            let part = target + Self.partSuffix
            try StoredResults.download(client, stored.name(of: file), bytes: file.bytes, to: part)
            try FileSystem.rename(part, to: target)
            files.append(FinalWindowFile(path: path, bytes: file.bytes))
        }
        try records.publish(window, files: files)
    }
}

extension StoredWindow {
    /// The size of the files that were uploaded.
    fileprivate var presentBytes: Int {
        files.reduce(0) { $0 + ($1.isMissing == true ? 0 : $1.bytes) }
    }
}
