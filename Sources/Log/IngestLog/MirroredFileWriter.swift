package import SystemIO

/// Writes a new content of a mirrored file piece by piece, both copies at once, so that no more of it is in memory than
/// what was appended since the last `drain`. Made by `MirroredFile.publish`; used by one thread. Everything blocks.
package struct MirroredFileWriter: ~Copyable {
    /// The content, where it has not been written yet. Append here; it begins with the file's head.
    package var body: RawBuffer

    private let copies: [String]
    private let first: File
    private let second: File
    /// Bytes of each copy that are written.
    private var written = 0
    private var checksum: UInt32 = 0

    private static let temporarySuffix = ".tmp"

    /// Begins temporary files beside `copies`.
    static func begin(_ copies: [String]) throws(SystemError) -> MirroredFileWriter {
        let first = try File(copies[0] + temporarySuffix, .replace)
        let second = try File(copies[1] + temporarySuffix, .replace)
        return MirroredFileWriter(copies, first, second)
    }

    private init(_ copies: [String], _ first: consuming File, _ second: consuming File) {
        self.copies = copies
        self.first = first
        self.second = second
        body = RawBuffer(capacity: 2 * File.directBytesUsual, alignment: File.blockBytes)
        for _ in 0..<MirroredFile.headBytes { body.append(byte: 0) }
    }

    /// Writes what is worth a write of its own, in whole blocks.
    package mutating func drain() throws(SystemError) {
        guard body.count >= File.directBytesUsual else { return }
        try write(body.count / File.blockBytes * File.blockBytes)
    }

    private mutating func write(_ count: Int) throws(SystemError) {
        let bytes = UnsafeRawBufferPointer(rebasing: body.bytes[..<count])
        let head = written == 0 ? MirroredFile.headBytes : 0
        checksum = Checksum.crc32c(
            UnsafeRawBufferPointer(rebasing: bytes[head...]),
            after: checksum
        )
        // In pieces, as another process's sync waits for what is under way.
        for offset in stride(from: 0, to: count, by: File.directBytesUsual) {
            let end = min(offset + File.directBytesUsual, count)
            let piece = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            try first.writeDirectly(piece, at: written + offset)
            try second.writeDirectly(piece, at: written + offset)
        }
        written += count
        body.removeFirst(count)
    }

    /// Writes the rest and the head, and puts the copies into place one after the other, each durable before the next.
    mutating func publish() throws(SystemError) {
        try write(body.count)
        body.append(integer: MirroredFile.magic)
        body.append(integer: checksum)
        try first.write(body.bytes, at: 0)
        try second.write(body.bytes, at: 0)
        try first.syncData()
        try second.syncData()
        for copy in copies {
            try FileSystem.rename(copy + Self.temporarySuffix, to: copy)
            try FileSystem.syncDirectory(FileSystem.parent(of: copy))
        }
    }
}
