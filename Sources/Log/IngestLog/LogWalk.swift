package import SystemIO
package import TraceModel

/// Reads a log to its end without changing it, also while a router writes and trims it: a write in progress does not
/// count as damage, and ranges trimmed meanwhile are skipped. One thread; blocks on the disk. Uses about 1 MB of
/// memory, or one record if that is larger.
package struct LogWalk: ~Copyable {
    /// One part of the log.
    @safe
    package enum Step {
        /// Whole valid records, each the successor of the previous one; valid until the next step.
        case records(UnsafeRawBufferPointer)
        /// A damaged range: without a valid record, but once durable.
        case damage(Range<LSN>)
        /// A range that the router removed before it was read.
        case trimmed(Range<LSN>)
        /// The log's end, and the size of the incomplete write after it.
        case end(unfinishedBytes: Int)
    }

    private static let chunkBytes = 1 << 20

    private let directory: LogDirectory
    private var reader: LogReader
    /// End of the newest file when the walk started: without it, a log that grows as fast as it is read would have no
    /// end.
    private let limit: LSN

    /// Starts at the file that contains `start`, or at the oldest file if that one is trimmed or `start` is nil.
    package init(
        _ directory: LogDirectory,
        salt: UInt32,
        from start: LSN? = nil
    ) throws(SystemError) {
        let bases = try directory.bases()
        let oldest = bases.first ?? 0
        let begin = bases.last { $0 <= start ?? oldest } ?? oldest
        self.directory = directory
        reader = LogReader(directory: directory, salt: salt, from: begin)
        limit = bases.last.map { $0 + LSN(FileSystem.size(directory.file(base: $0)) ?? 0) } ?? 0
    }

    /// Position of the next step.
    package var position: LSN { reader.position }

    /// Returns the next part of the log; at its end always `.end`.
    /// - Throws: `SystemError` if a file cannot be read.
    package mutating func next() throws(SystemError) -> Step {
        guard position < limit else { return .end(unfinishedBytes: 0) }
        do throws(SystemError) { return try step() } catch {
            // A file may be trimmed between listing and opening it.
            guard error.isNotFound, let trimmed = try skipTrimmed() else { throw error }
            return .trimmed(trimmed)
        }
    }

    private mutating func step() throws(SystemError) -> Step {
        if try reader.advance(budget: Self.chunkBytes) == nil {
            return unsafe .records(reader.records)
        }
        let goesOn = try reader.findGoingOn()
        // Everything written before the record that was found can be read now.
        if try reader.advance(budget: Self.chunkBytes) == nil {
            return unsafe .records(reader.records)
        }
        if let trimmed = try skipTrimmed() { return .trimmed(trimmed) }
        let lost = position
        guard let goesOn else {
            return .end(unfinishedBytes: Int(try reader.findUnfinishedEnd() - lost))
        }
        reader.skip(to: goesOn)
        return .damage(lost..<goesOn)
    }

    /// Continues at the oldest file if the position's file was removed.
    private mutating func skipTrimmed() throws(SystemError) -> Range<LSN>? {
        let lost = position
        guard let oldest = try directory.bases().first, oldest > lost else { return nil }
        reader.skip(to: oldest)
        return lost..<oldest
    }
}
