package import SystemIO
import TraceModel

// Mirrored file
// =============
//
// `PATH` and `PATH.mirror` have the same content. Each, little-endian: magic "TRCK" u32, CRC-32C of all that follows
// u32, the body. They are replaced one after the other, each atomically and durably before the next one, so one of them
// is always valid, and if both are valid and differ, `PATH` is the newer one.

/// A small file stored twice, for state that cannot be recreated: damage to one copy loses nothing.
package struct MirroredFile {
    static let magic: UInt32 = 0x4B43_5254  // "TRCK"
    package static let headBytes = 8
    private static let mirrorSuffix = ".mirror"

    /// The content of a valid copy.
    package struct Content: Sendable {
        fileprivate let file: [UInt8]
        /// Description of the damage to the other copy; nil if it has none, or is only older.
        package let damage: String?
        /// Whether one of the copies has to be rewritten.
        package let needsRepair: Bool

        /// Passes a reader of the body to `read`.
        package func withBody<Result>(_ read: (inout StateReader) throws -> Result) throws -> Result
        {
            try unsafe file.withUnsafeBytes { bytes in
                var reader = unsafe StateReader(
                    UnsafeRawBufferPointer(rebasing: bytes[headBytes...])
                )
                return try read(&reader)
            }
        }
    }

    /// Distinguishes the contents of two valid copies.
    private struct Head: Equatable {
        let checksum: UInt32
        let size: Int
    }

    /// The state of one copy.
    private enum Copy {
        case sound(Head)
        case missing
        case damaged(String)
    }

    package let path: String
    private var mirror: String { path + Self.mirrorSuffix }

    package init(_ path: String) { self.path = path }

    /// Returns the file for a name in a directory: itself, or the one it mirrors.
    package static func name(of entry: String) -> String {
        entry.hasSuffix(mirrorSuffix) ? String(entry.dropLast(mirrorSuffix.count)) : entry
    }

    // MARK: Writing

    /// Replaces both copies by what `fill` appends to the writer's body; for large content it calls `drain`. Blocks
    /// until both are durable; actions that depend on the content must wait for that. If it throws, both copies are
    /// unchanged or one of them is the new one.
    package func publish(_ fill: (inout MirroredFileWriter) throws -> Void) throws {
        var writer = try MirroredFileWriter.begin([path, mirror])
        try fill(&writer)
        try writer.publish()
    }

    /// Rewrites both copies, even the valid one, because its name may not be durable. Blocks.
    package func repair(_ content: Content) throws {
        try unsafe content.file.withUnsafeBytes {
            try unsafe FileSystem.publish(path, $0)
            try unsafe FileSystem.publish(mirror, $0)
        }
    }

    /// Removes both copies, the mirror first, so that a partial removal looks like a new file. Blocks.
    package func remove() throws(SystemError) {
        try FileSystem.remove(mirror)
        try FileSystem.remove(path)
    }

    // MARK: Reading

    /// Returns the content of the newest valid copy; nil if there is no file. Blocks; O(its size).
    /// - Throws: `TraceError(.corrupt)` with `remedy` if no copy is valid, `SystemError` if the operating system
    ///   reports an error.
    package func read(remedy: String) throws -> Content? {
        let (first, second) = (try examine(path), try examine(mirror))
        switch (first, second) {
        case (.missing, .missing): return nil
        case (.sound(let head), .sound(let other)):
            return try content(of: path, needsRepair: head != other)
        case (.sound, .missing):
            // An incomplete first start, or a file of a version without mirrors.
            return try content(of: path, needsRepair: true)
        case (.sound, .damaged(let why)):
            return try content(of: path, damage: "\(mirror) \(why)", needsRepair: true)
        case (.damaged(let why), .sound):
            return try content(of: mirror, damage: "\(path) \(why)", needsRepair: true)
        case (.missing, .sound):
            return try content(of: mirror, damage: "\(path) is missing", needsRepair: true)
        case (.missing, .damaged), (.damaged, .missing), (.damaged, .damaged):
            throw TraceError(
                .corrupt,
                "\(path) \(Self.words(first)), and its mirror \(Self.words(second))",
                remedy: remedy
            )
        }
    }

    private static func words(_ copy: Copy) -> String {
        switch copy {
        case .sound: "is sound"
        case .missing: "is missing"
        case .damaged(let why): why
        }
    }

    private func content(
        of path: String,
        damage: String? = nil,
        needsRepair: Bool
    ) throws(SystemError) -> Content {
        Content(file: try FileSystem.contents(path), damage: damage, needsRepair: needsRepair)
    }

    private func examine(_ path: String) throws(SystemError) -> Copy {
        guard FileSystem.exists(path) else { return .missing }
        do throws(SystemError) {
            return try Self.head(of: File(path, .read)).map { .sound($0) } ?? .damaged("is damaged")
        } catch {
            // A bad sector counts as damage.
            guard error.isIOError else { throw error }
            return .damaged("cannot be read: \(error)")
        }
    }

    /// Returns the head and size of a valid copy; nil if the copy is damaged. Reads the whole file in pieces.
    private static func head(of file: borrowing File) throws(SystemError) -> Head? {
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: File.directBytesUsual,
            alignment: 16
        )
        defer { unsafe piece.deallocate() }
        var stored: UInt32?
        var checksum: UInt32 = 0
        var size = 0
        while true {
            let count = try unsafe file.read(into: piece, at: size)
            var bytes = unsafe UnsafeRawBufferPointer(rebasing: piece[..<count])
            if stored == nil {
                guard count >= headBytes else { return nil }
                guard unsafe UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == magic
                else {
                    return nil
                }
                stored = unsafe UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
                )
                unsafe bytes = unsafe UnsafeRawBufferPointer(rebasing: bytes[headBytes...])
            }
            checksum = unsafe Checksum.crc32c(bytes, after: checksum)
            size += count
            if count < piece.count { break }
        }
        return checksum == stored ? Head(checksum: checksum, size: size) : nil
    }
}

/// Writes new content of a mirrored file in pieces to both copies at once. Memory holds only what was appended since
/// the last `drain`. Created by `MirroredFile.publish`; one thread. All functions block.
package struct MirroredFileWriter: ~Copyable {
    /// The content that is not written yet. Append here; it starts with the file's head.
    package var body: RawBuffer

    private let copies: [String]
    private let first: File
    private let second: File
    /// Bytes written to each copy.
    private var written = 0
    private var checksum: UInt32 = 0

    private static let temporarySuffix = ".tmp"

    /// Creates temporary files beside `copies`.
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

    /// Writes whole blocks, if there are enough to be worth a write.
    package mutating func drain() throws(SystemError) {
        guard body.count >= File.directBytesUsual else { return }
        try write(body.count / File.blockBytes * File.blockBytes)
    }

    private mutating func write(_ count: Int) throws(SystemError) {
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: body.bytes[..<count])
        let head = written == 0 ? MirroredFile.headBytes : 0
        checksum = unsafe Checksum.crc32c(
            UnsafeRawBufferPointer(rebasing: bytes[head...]),
            after: checksum
        )
        // In pieces, because another process's sync waits for writes in progress.
        for offset in stride(from: 0, to: count, by: File.directBytesUsual) {
            let end = min(offset + File.directBytesUsual, count)
            let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            try unsafe first.writeDirectly(piece, at: written + offset)
            try unsafe second.writeDirectly(piece, at: written + offset)
        }
        written += count
        body.removeFirst(count)
    }

    /// Writes the rest and the head, and renames the copies one after the other, each durable before the next one.
    mutating func publish() throws(SystemError) {
        try write(body.count)
        body.append(integer: MirroredFile.magic)
        body.append(integer: checksum)
        try unsafe first.write(body.bytes, at: 0)
        try unsafe second.write(body.bytes, at: 0)
        try first.syncData()
        try second.syncData()
        for copy in copies {
            try FileSystem.rename(copy + Self.temporarySuffix, to: copy)
            try FileSystem.syncDirectory(FileSystem.parent(of: copy))
        }
    }
}
