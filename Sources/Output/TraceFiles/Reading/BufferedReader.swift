import Glibc
import SystemIO
import TraceModel

/// Reads one file from its beginning through a buffer that grows only for a row larger than itself.
final class BufferedReader {
    let path: String
    private let file: File
    @exclusivity(unchecked) private var buffer: RawBuffer
    @exclusivity(unchecked) private var position = 0
    private var fileOffset = 0
    /// Read at once.
    let chunkBytes: Int
    /// The checksum takes what stands from here on in the file.
    private let summedFrom: Int
    /// CRC-32C of what has been read; of a file that was read from its beginning without `seek`.
    private(set) var checksum: UInt32 = 0

    init(_ path: String, bufferBytes: Int, summedFrom: Int = 0) throws(SystemError) {
        self.path = path
        self.summedFrom = summedFrom
        file = try File(path, .read)
        chunkBytes = bufferBytes
        buffer = RawBuffer(capacity: bufferBytes)
    }

    /// What has been read and not consumed; valid until the next `fill`.
    var unread: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: buffer.bytes[position...]) }

    /// Where the next unread byte stands in the file.
    var offset: Int { fileOffset - (buffer.count - position) }

    /// Of the whole file. Blocks.
    var size: Int { get throws(SystemError) { try file.size() } }

    /// Goes on reading there..
    func seek(to offset: Int) {
        buffer.removeAll()
        position = 0
        fileOffset = offset
    }

    func consume(_ count: Int) { position += count }

    /// Reads on until at least `count` bytes are unread; false where the file ends before.
    func fill(atLeast count: Int) throws(SystemError) -> Bool {
        while buffer.count - position < count { if try !readMore() { return false } }
        return true
    }

    /// The distance to the first LF at or after `start` (of the unread bytes); nil where there is none.
    func findNewline(from start: Int) throws(SystemError) -> Int? {
        var searched = start
        while true {
            let bytes = unread
            if searched < bytes.count, let base = bytes.baseAddress,
                let found = memchr(base + searched, 0x0A, bytes.count - searched)
            {
                return UnsafeRawPointer(found) - base
            }
            searched = max(searched, bytes.count)
            if try !readMore() { return nil }
        }
    }

    /// Reads one more piece; false at the file's end. Blocks.
    private func readMore() throws(SystemError) -> Bool {
        buffer.removeFirst(position)
        position = 0
        // What is left of a row must not make the buffer twice as large.
        let free = buffer.capacity - buffer.count
        let size = free >= chunkBytes / 2 ? free : chunkBytes
        let target = UnsafeMutableRawBufferPointer(start: buffer.reserve(size), count: size)
        let count = try file.read(into: target, at: fileOffset)
        buffer.commit(count)
        let left = min(max(summedFrom - fileOffset, 0), count)
        checksum = Checksum.crc32c(UnsafeRawBufferPointer(rebasing: target[left..<count]), after: checksum)
        fileOffset += count
        return count > 0
    }

    /// Reads on to the file's end, and forgets it; the file's size. Blocks.
    func drain() throws(SystemError) -> Int {
        repeat { position = buffer.count } while try readMore()
        return fileOffset
    }
}
