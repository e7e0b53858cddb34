import Compression
import Glibc
import SystemIO
import TraceModel

/// Reads one file sequentially through a buffer that grows only for a row larger than itself.
final class BufferedReader {
    let path: String
    private let file: File
    @exclusivity(unchecked) private var buffer: RawBuffer
    @exclusivity(unchecked) private var position = 0
    private var fileOffset = 0
    /// The size of one read.
    let chunkBytes: Int
    /// The file offset at which the checksum starts.
    private let summedFrom: Int
    /// CRC-32C of what was read from `summedFrom` on. Valid only without `seek`.
    private(set) var checksum: UInt32 = 0

    init(_ path: String, bufferBytes: Int, summedFrom: Int = 0) throws(SystemError) {
        self.path = path
        self.summedFrom = summedFrom
        file = try File(path, .read)
        chunkBytes = bufferBytes
        unsafe buffer = RawBuffer(capacity: bufferBytes)
    }

    /// The bytes that were read and not consumed. Valid until the next `fill`.
    var unread: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[position...])
    }

    /// The file offset of the next unconsumed byte.
    var offset: Int { unsafe fileOffset - (buffer.count - position) }

    /// The size of the whole file. Blocks.
    var size: Int { get throws(SystemError) { try file.size() } }

    /// Continues reading at `offset`.
    func seek(to offset: Int) {
        unsafe buffer.removeAll()
        unsafe position = 0
        fileOffset = offset
    }

    func consume(_ count: Int) { unsafe position += count }

    /// Reads until at least `count` bytes are unread; returns false if the file ends before. Blocks.
    func fill(atLeast count: Int) throws(SystemError) -> Bool {
        while unsafe buffer.count - position < count { if try !readMore() { return false } }
        return true
    }

    /// Returns the offset, within the unread bytes, of the first LF at or after `start`; nil if there is none. Blocks.
    func findNewline(from start: Int) throws(SystemError) -> Int? {
        var searched = start
        while true {
            let bytes = unsafe unread
            if searched < bytes.count, let base = bytes.baseAddress,
                let found = unsafe memchr(base + searched, 0x0A, bytes.count - searched)
            {
                return unsafe UnsafeRawPointer(found) - base
            }
            searched = max(searched, bytes.count)
            if try !readMore() { return nil }
        }
    }

    /// Reads one more chunk; returns false at the end of the file. Blocks.
    private func readMore() throws(SystemError) -> Bool {
        unsafe buffer.removeFirst(position)
        unsafe position = 0
        // The rest of a row must not double the buffer.
        let free = unsafe buffer.capacity - buffer.count
        let size = free >= chunkBytes / 2 ? free : chunkBytes
        let target = unsafe UnsafeMutableRawBufferPointer(start: buffer.reserve(size), count: size)
        let count = try unsafe file.read(into: target, at: fileOffset)
        unsafe buffer.commit(count)
        let left = min(max(summedFrom - fileOffset, 0), count)
        checksum = unsafe Checksum.crc32c(
            UnsafeRawBufferPointer(rebasing: target[left..<count]),
            after: checksum
        )
        fileOffset += count
        return count > 0
    }

    /// Reads and discards the rest of the file, and returns the file's size. Blocks.
    func drain() throws(SystemError) -> Int {
        repeat { unsafe position = unsafe buffer.count } while try readMore()
        return fileOffset
    }
}

/// Reads a final file, plain or compressed, line by line or row by row. The buffer grows only for a row larger than
/// itself, up to `Limits.segmentRecordBytesMax`.
final class RecordReader {
    let path: String
    private let file: FileSource
    private let expander: ExpandingReader?
    var isCompressed: Bool { expander != nil }
    private var expanded: [UInt8] = []
    private var buffer: RawBuffer
    private var position = 0

    /// The file and its read position, shared with the decompressor.
    private final class FileSource {
        private let file: File
        private var offset = 0

        init(_ path: String) throws(SystemError) { file = try File(path, .read) }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
            let count = try unsafe file.read(into: buffer, at: offset)
            offset += count
            return count
        }

        func rewind() { offset = 0 }
    }

    init(_ path: String, bufferBytes: Int = 256 << 10) throws {
        self.path = path
        let source = try FileSource(path)
        file = source
        var magic = [UInt8](repeating: 0, count: FileCompression.magicBytes)
        let count = try unsafe magic.withUnsafeMutableBytes { try unsafe source.read(into: $0) }
        source.rewind()
        buffer = RawBuffer(capacity: bufferBytes)
        guard let compression = FileCompression(magic: magic.prefix(count)) else {
            expander = nil
            return
        }
        expanded = [UInt8](repeating: 0, count: bufferBytes)
        expander = unsafe try ExpandingReader(compression) {
            (target: UnsafeMutableRawBufferPointer) throws(TraceError) in
            do { return try unsafe source.read(into: target) } catch {
                throw TraceError(.system, "cannot read \(path)", cause: error)
            }
        }
    }

    /// Returns the next line without its LF, valid until the next call; nil at the end. Text after the last LF is a
    /// line too. With `isQuoting`, an LF between double quotes does not end the line, as in CSV.
    func next(isQuoting: Bool = false) throws -> UnsafeRawBufferPointer? {
        var searched = 0
        var isQuoted = false
        while true {
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[position...])
            if let end = unsafe Self.lineEnd(bytes, from: &searched, isQuoting, &isQuoted) {
                position += end + 1
                return unsafe UnsafeRawBufferPointer(rebasing: bytes[..<end])
            }
            guard bytes.count < Limits.segmentRecordBytesMax else {
                throw TraceError(
                    .corrupt,
                    "\(path) contains a row longer than \(Limits.segmentRecordBytesMax) bytes"
                )
            }
            if try readMore() { continue }
            if unsafe bytes.isEmpty { return nil }
            let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[position...])
            position = buffer.count
            return unsafe rest
        }
    }

    /// Returns the next number in base 128; nil at the end.
    /// - Throws: `TraceError(.corrupt)` if the file ends within it, or it is too large.
    func nextVarint() throws -> UInt64? {
        while true {
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[position...])
            var at = 0
            if let number = unsafe Varint.read(bytes, at: &at) {
                position += at
                return number
            }
            let count = bytes.count
            if count < 10, try readMore() { continue }
            if count == 0 { return nil }
            throw TraceError(.corrupt, "\(path) contains an invalid number")
        }
    }

    /// Returns the next `count` bytes, valid until the next call; nil if the file ends before.
    func next(count: Int) throws -> UnsafeRawBufferPointer? {
        while buffer.count - position < count { if try !readMore() { return nil } }
        let bytes = unsafe UnsafeRawBufferPointer(
            rebasing: buffer.bytes[position..<position + count]
        )
        position += count
        return unsafe bytes
    }

    /// Returns the end of the first line. Nil if it does not end yet; `searched` then says how far it was searched.
    private static func lineEnd(
        _ bytes: UnsafeRawBufferPointer,
        from searched: inout Int,
        _ isQuoting: Bool,
        _ isQuoted: inout Bool
    ) -> Int? {
        guard let base = bytes.baseAddress, searched < bytes.count else { return nil }
        guard isQuoting else {
            guard let found = unsafe memchr(base + searched, 0x0A, bytes.count - searched) else {
                searched = bytes.count
                return nil
            }
            return unsafe UnsafeRawPointer(found) - base
        }
        while searched < bytes.count {
            let byte = unsafe bytes[searched]
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if byte == 0x0A && !isQuoted { return searched }
            searched += 1
        }
        return nil
    }

    /// Reads one more chunk; returns false at the end. Blocks.
    private func readMore() throws -> Bool {
        buffer.removeFirst(position)
        position = 0
        guard let expander else {
            let count = buffer.capacity
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: buffer.reserve(count),
                count: count
            )
            let read = try unsafe file.read(into: target)
            buffer.commit(read)
            return read > 0
        }
        let read = try expander.read(into: &expanded)
        unsafe expanded.withUnsafeBytes {
            unsafe buffer.append(UnsafeRawBufferPointer(rebasing: $0[..<read]))
        }
        return read > 0
    }
}
