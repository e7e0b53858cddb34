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
    /// Bytes at the stage's begin that the checksum does not take (again).
    private var summedBytes = 0
    /// Bytes of this append that the checksum still has to take.
    private var unsummedBytes = 0
    /// CRC-32C of what it was begun with and of this append, but for the bytes it was told to leave out at the end.
    private(set) var checksum: UInt32 = 0

    /// The next append begins at `end` and is `bytes` long. Its checksum goes on from `checksum` and leaves out the last
    /// `leaving` bytes.
    mutating func begin(
        _ file: borrowing File, at end: Int, bytes: Int, after checksum: UInt32 = 0, leaving: Int = 0
    ) throws(SystemError) {
        stage.removeAll()
        self.checksum = checksum
        unsummedBytes = bytes - leaving
        let begun = bytes >= File.directBytesMin ? end % File.blockBytes : 0
        place = end - begun
        let block = UnsafeMutableRawBufferPointer(start: stage.reserve(begun), count: begun)
        let found = try file.read(into: block, at: place)
        precondition(found == begun, "a run is shorter than what was written to it")
        stage.commit(begun)
        summedBytes = begun
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, to file: borrowing File) throws(SystemError) {
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
        let count = min(stage.count - summedBytes, unsummedBytes)
        checksum = Checksum.crc32c(
            UnsafeRawBufferPointer(rebasing: stage.bytes[summedBytes..<(summedBytes + count)]), after: checksum)
        unsummedBytes -= count
        summedBytes = 0
        try file.writeDirectly(stage.bytes, at: place)
    }
}
