package import SystemIO
package import TraceModel

/// Walks a log to its end and changes nothing, also while a router writes and trims it: what is only
/// being written is no damage, and what was trimmed meanwhile is passed over.
/// Belongs to one thread; blocks on disk. Holds about 1 MB, or one record where that is larger.
package struct LogWalk: ~Copyable {
    package enum Step {
        /// Whole valid records, each the successor of the one before; valid until the next step.
        case records(UnsafeRawBufferPointer)
        /// No valid record stands in this range, and it was durable once.
        case damage(Range<LSN>)
        /// The router removed this range before it was read.
        case trimmed(Range<LSN>)
        /// The log's end. Behind it so many bytes of a write that never finished, or has not yet.
        case end(unfinishedBytes: Int)
    }

    private static let chunkBytes = 1 << 20

    private let directory: LogDirectory
    private var reader: LogReader
    /// Where the newest file ended when the walk began: a log that grows as fast as it is read has no end.
    private let limit: LSN

    /// From the file that holds `start`, or where that is trimmed the oldest; nil for the oldest.
    package init(_ directory: LogDirectory, salt: UInt32, from start: LSN? = nil) throws(SystemError) {
        let bases = try directory.bases()
        let oldest = bases.first ?? 0
        let begin = bases.last { $0 <= start ?? oldest } ?? oldest
        self.directory = directory
        reader = LogReader(directory: directory, salt: salt, from: begin)
        limit = bases.last.map { $0 + LSN(FileSystem.size(directory.file(base: $0)) ?? 0) } ?? 0
    }

    /// Where the next step begins.
    package var position: LSN { reader.position }

    /// The next part of the log; `.end` again and again at its end.
    /// - Throws: `SystemError` where a file cannot be read.
    package mutating func next() throws(SystemError) -> Step {
        guard position < limit else { return .end(unfinishedBytes: 0) }
        do throws(SystemError) { return try step() } catch {
            // A file may be trimmed between being listed and being opened.
            guard error.isNotFound, let trimmed = try skipTrimmed() else { throw error }
            return .trimmed(trimmed)
        }
    }

    private mutating func step() throws(SystemError) -> Step {
        if try reader.advance(budget: Self.chunkBytes) == nil { return .records(reader.records) }
        let goesOn = try reader.findGoingOn()
        // Whatever was written before the record found is there to be read now.
        if try reader.advance(budget: Self.chunkBytes) == nil { return .records(reader.records) }
        if let trimmed = try skipTrimmed() { return .trimmed(trimmed) }
        let lost = position
        guard let goesOn else { return .end(unfinishedBytes: Int(try reader.findUnfinishedEnd() - lost)) }
        reader.skip(to: goesOn)
        return .damage(lost..<goesOn)
    }

    /// Goes on at the oldest file where the position's own is gone.
    private mutating func skipTrimmed() throws(SystemError) -> Range<LSN>? {
        let lost = position
        guard let oldest = try directory.bases().first, oldest > lost else { return nil }
        reader.skip(to: oldest)
        return lost..<oldest
    }
}
