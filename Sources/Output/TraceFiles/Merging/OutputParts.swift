import SystemIO
import TraceModel

/// The files of one output. Each is complete and synced under its temporary name before the next one starts.
final class OutputParts {
    private let merger: WindowMerger
    private let target: (Int) -> String
    private let bytesMax: Int
    private var finished: [MergeManifest.Output] = []
    /// The writer of the open file.
    @exclusivity(unchecked) private(set) var writer: MergeWriter

    /// Opens the first file. `target` returns the final path of a file by its number, from 1.
    init(_ merger: WindowMerger, target: @escaping (Int) -> String) throws {
        self.merger = merger
        self.target = target
        bytesMax = merger.budget.finalFileBytesMax
        unsafe writer = try merger.writer(of: target(1))
    }

    /// The number of the open file, from 1.
    var number: Int { finished.count + 1 }

    /// Whether the open file has room for `count` more bytes.
    func holds(_ count: Int) -> Bool { unsafe writer.textCount + count <= bytesMax }

    /// Finishes the open file and starts the next one. Blocks.
    func next() throws {
        try finish()
        unsafe writer = try merger.writer(of: target(number))
    }

    /// Runs `body`, which writes all files, and returns them. Removes them if `body` throws. Blocks.
    func written(_ body: () throws -> Void) throws -> [MergeManifest.Output] {
        do {
            try body()
            try finish()
            return finished
        } catch {
            merger.removeTemporaries(finished)
            try? unsafe FileSystem.remove(writer.path)
            throw error
        }
    }

    private func finish() throws {
        try unsafe writer.finish()
        let path = target(number)
        unsafe finished.append(
            MergeManifest.Output(
                source: OutputNames.temporary(path),
                target: path,
                bytes: writer.count
            )
        )
    }
}

/// The names of processes and threads in a trace that becomes several files. Each file ends with the names that its
/// rows refer to.
struct PartNames {
    /// The line that names a process or thread.
    private struct Name {
        let line: [UInt8]
        /// Whether a row of the open file refers to the name.
        var isDue = false
    }

    private var names: [NameTable.Key: Name] = [:]
    private var due: [NameTable.Key] = []
    /// The size of the referenced names in the file.
    private(set) var dueBytes = 0

    /// Reads the names of runs whose readers have been moved to theirs. Ignores names beyond `bytesMax` bytes, in the
    /// order of process ids.
    init(_ merge: RunMerge, bytesMax: Int) throws {
        var bytes = 0
        var names: [NameTable.Key: Name] = [:]
        try unsafe merge.forEachName { key, line in
            bytes += Self.cost(line.count)
            if bytes <= bytesMax { names[key] = unsafe Name(line: Array(line)) }
        }
        self.names = names
    }

    /// The size of all names in a file.
    var bytes: Int { names.values.reduce(0) { $0 + Self.cost($1.line.count) } }

    /// The bytes that the row's names would add to `dueBytes`.
    func bytesAdded(by row: EventRow) -> Int {
        Self.keys(of: row).reduce(0) { bytes, key in
            guard let name = names[key], !name.isDue else { return bytes }
            return bytes + Self.cost(name.line.count)
        }
    }

    /// Marks the names that a row of the open file refers to.
    mutating func add(_ row: EventRow) {
        dueBytes += bytesAdded(by: row)
        for key in Self.keys(of: row) where names[key]?.isDue == false {
            names[key]?.isDue = true
            due.append(key)
        }
    }

    /// Returns the lines of the marked names in order, and unmarks them.
    mutating func takeDue() -> [[UInt8]] {
        let lines = due.sorted { $0.precedes($1) }.compactMap { names[$0]?.line }
        for key in due { names[key]?.isDue = false }
        due = []
        dueBytes = 0
        return lines
    }

    private static func cost(_ lineBytes: Int) -> Int { JSONSegment.separatorBytes + lineBytes }

    private static func keys(of row: EventRow) -> [NameTable.Key] {
        let process = [NameTable.Key.process(row.pid), .sortIndex(row.pid)]
        guard let tid = row.tid else { return process }
        return process + [.thread(row.pid, tid)]
    }
}
