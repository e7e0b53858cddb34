import SystemIO

/// Appends rows that lie all over their buffer to a file: they are put together in blocks, and many of them at once go
/// past the page cache. What is rarely read again is not worth the copy, nor the cache what it would have to drop for it.
///
/// Direct writes take whole blocks only, so the last block of the file is written through the cache, and read back and
/// written again by the next append. One append at a time.
struct RunAppender: ~Copyable {
    /// Put together and written at once.
    private static let stageBytes = File.directBytesUsual

    private var stage = RawBuffer(capacity: stageBytes, alignment: File.blockBytes)
    /// Where the stage's first byte goes: at a block's begin where there are enough bytes for a direct write.
    private var place = 0

    /// The next append begins at `end` and is `bytes` long.
    mutating func begin(_ file: borrowing File, at end: Int, bytes: Int) throws(SystemError) {
        stage.removeAll()
        let begun = bytes >= File.directBytesMin ? end % File.blockBytes : 0
        place = end - begun
        let block = UnsafeMutableRawBufferPointer(start: stage.reserve(begun), count: begun)
        let found = try file.read(into: block, at: place)
        precondition(found == begun, "a run is shorter than what was written to it")
        stage.commit(begun)
    }

    mutating func append(
        _ bytes: UnsafeRawBufferPointer,
        to file: borrowing File
    ) throws(SystemError) {
        var rest = bytes
        while stage.count + rest.count >= Self.stageBytes {
            let fitting = Self.stageBytes - stage.count
            stage.append(UnsafeRawBufferPointer(rebasing: rest[..<fitting]))
            rest = UnsafeRawBufferPointer(rebasing: rest[fitting...])
            try end(file)
            place += stage.count
            stage.removeAll()
        }
        stage.append(rest)
    }

    /// Writes what is still here.
    mutating func end(_ file: borrowing File) throws(SystemError) {
        try file.writeDirectly(stage.bytes, at: place)
    }
}
