package import SystemIO
import TraceModel

// Mirrored file
// =============
//
// `PATH` and `PATH.mirror`, of one content. Each, little-endian: magic "TRCK" u32, CRC-32C of all that follows
// u32, the body. They are replaced one after the other, each as a whole and durable before the next is begun:
// so one is sound at any time, and where both are and differ, `PATH` is the newer one.

/// A small file kept twice, for state that nothing could make again: damage to one of its copies loses nothing.
package struct MirroredFile {
    static let magic: UInt32 = 0x4B43_5254  // "TRCK"
    static let headBytes = 8
    private static let mirrorSuffix = ".mirror"

    /// What was read: the content of the copy that holds.
    package struct Content: Sendable {
        fileprivate let file: [UInt8]
        /// What is wrong with the other copy, in words; nil where nothing is, or it is only older.
        package let damage: String?
        /// Whether one of the copies has to be written anew.
        package let needsRepair: Bool

        /// Lends the body.
        package func withBody<Result>(_ read: (inout StateReader) throws -> Result) throws -> Result {
            try file.withUnsafeBytes { bytes in
                var reader = StateReader(UnsafeRawBufferPointer(rebasing: bytes[headBytes...]))
                return try read(&reader)
            }
        }
    }

    /// What tells the contents of two sound copies apart.
    private struct Head: Equatable {
        let checksum: UInt32
        let size: Int
    }

    private enum Copy {
        case sound(Head)
        case missing
        case damaged(String)
    }

    package let path: String
    private var mirror: String { path + Self.mirrorSuffix }

    package init(_ path: String) { self.path = path }

    /// The file that a name in a directory belongs to: itself, or its mirror's.
    package static func name(of entry: String) -> String {
        entry.hasSuffix(mirrorSuffix) ? String(entry.dropLast(mirrorSuffix.count)) : entry
    }

    // MARK: Writing

    /// Replaces both copies by what `fill` appends to the writer's body; it calls `drain` where that is large. Blocks until
    /// both are durable; what hangs on the content may be done only then. Where it throws, both copies are what they were,
    /// or one of them is the new one.
    package func publish(_ fill: (inout MirroredFileWriter) throws -> Void) throws {
        var writer = try MirroredFileWriter.begin([path, mirror])
        try fill(&writer)
        try writer.publish()
    }

    /// Writes both copies anew, also the sound one: whether its name is durable, nobody knows. Blocks.
    package func repair(_ content: Content) throws {
        try content.file.withUnsafeBytes {
            try FileSystem.publish(path, $0)
            try FileSystem.publish(mirror, $0)
        }
    }

    /// Removes both copies, the mirror first: what is left of a removal looks like a new file. Blocks.
    package func remove() throws(SystemError) {
        try FileSystem.remove(mirror)
        try FileSystem.remove(path)
    }

    // MARK: Reading

    /// The content of the newest sound copy; nil where there is no file. Blocks; O(its size).
    /// - Throws: `TraceError(.corrupt)` with `remedy` where no copy is sound, `SystemError` where the operating
    ///   system refuses.
    package func read(remedy: String) throws -> Content? {
        let (first, second) = (try examine(path), try examine(mirror))
        switch (first, second) {
        case (.missing, .missing): return nil
        case (.sound(let head), .sound(let other)): return try content(of: path, needsRepair: head != other)
        case (.sound, .missing):
            // A first start that was cut off, or one with a file of before there were mirrors.
            return try content(of: path, needsRepair: true)
        case (.sound, .damaged(let why)): return try content(of: path, damage: "\(mirror) \(why)", needsRepair: true)
        case (.damaged(let why), .sound): return try content(of: mirror, damage: "\(path) \(why)", needsRepair: true)
        case (.missing, .sound): return try content(of: mirror, damage: "\(path) is missing", needsRepair: true)
        case (.missing, .damaged), (.damaged, .missing), (.damaged, .damaged):
            throw TraceError(
                .corrupt, "\(path) \(Self.words(first)), and its mirror \(Self.words(second))", remedy: remedy)
        }
    }

    private static func words(_ copy: Copy) -> String {
        switch copy {
        case .sound: "is sound"
        case .missing: "is missing"
        case .damaged(let why): why
        }
    }

    private func content(of path: String, damage: String? = nil, needsRepair: Bool) throws(SystemError) -> Content {
        Content(file: try FileSystem.contents(path), damage: damage, needsRepair: needsRepair)
    }

    private func examine(_ path: String) throws(SystemError) -> Copy {
        guard FileSystem.exists(path) else { return .missing }
        do throws(SystemError) {
            return try Self.head(of: File(path, .read)).map { .sound($0) } ?? .damaged("is damaged")
        } catch {
            // A bad sector is damage like any other.
            guard error.isIOError else { throw error }
            return .damaged("cannot be read: \(error)")
        }
    }

    /// What a sound copy begins with and how long it is; nil where the copy is damaged. Reads all of it, a piece at a time.
    private static func head(of file: borrowing File) throws(SystemError) -> Head? {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: File.directBytesUsual, alignment: 16)
        defer { piece.deallocate() }
        var stored: UInt32?
        var checksum: UInt32 = 0
        var size = 0
        while true {
            let count = try file.read(into: piece, at: size)
            var bytes = UnsafeRawBufferPointer(rebasing: piece[..<count])
            if stored == nil {
                guard count >= headBytes else { return nil }
                guard UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == magic else { return nil }
                stored = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
                bytes = UnsafeRawBufferPointer(rebasing: bytes[headBytes...])
            }
            checksum = Checksum.crc32c(bytes, after: checksum)
            size += count
            if count < piece.count { break }
        }
        return checksum == stored ? Head(checksum: checksum, size: size) : nil
    }
}

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
        checksum = Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[head...]), after: checksum)
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
