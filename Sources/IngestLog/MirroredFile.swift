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
    private static let headBytes = 8
    private static let mirrorSuffix = ".mirror"

    /// What was read: the content of the copy that holds.
    package struct Content: Sendable {
        fileprivate let file: [UInt8]
        /// What is wrong with the other copy, in words; nil where nothing is, or it is only older.
        package let damage: String?
        /// Whether one of the copies has to be written anew.
        package let needsRepair: Bool

        /// Lends the body.
        package func withBody<Result>(_ read: (inout StateReader) throws -> Result) throws -> Result
        {
            try file.withUnsafeBytes { bytes in
                var reader = StateReader(UnsafeRawBufferPointer(rebasing: bytes[headBytes...]))
                return try read(&reader)
            }
        }
    }

    private enum Copy {
        case sound([UInt8])
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

    /// A body to be filled and published: behind the file's head, which stands there already. `capacity`: about what it
    /// will take.
    package static func newBody(capacity: Int = 4_096) -> RawBuffer {
        var file = RawBuffer(capacity: capacity + headBytes, alignment: File.blockBytes)
        for _ in 0..<headBytes { file.append(byte: 0) }
        return file
    }

    /// Replaces both copies by a body of `newBody`. Blocks until both are durable; what hangs on the content may be done
    /// only then.
    package func publish(_ file: inout RawBuffer) throws(SystemError) {
        let bytes = file.mutableBytes
        let body = UnsafeRawBufferPointer(rebasing: bytes[Self.headBytes...])
        bytes.storeBytes(of: Self.magic.littleEndian, as: UInt32.self)
        bytes.storeBytes(
            of: Checksum.crc32c(body).littleEndian,
            toByteOffset: 4,
            as: UInt32.self
        )
        try publish(file.bytes)
    }

    /// Writes both copies anew, also the sound one: whether its name is durable, nobody knows. Blocks.
    package func repair(_ content: Content) throws {
        try content.file.withUnsafeBytes { try publish($0) }
    }

    private func publish(_ file: UnsafeRawBufferPointer) throws(SystemError) {
        try FileSystem.publish(path, file)
        try FileSystem.publish(mirror, file)
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
        switch (try read(path), try read(mirror)) {
        case (.missing, .missing):
            return nil
        case (.sound(let file), .sound(let other)):
            return Content(file: file, damage: nil, needsRepair: file != other)
        case (.sound(let file), .missing):
            // A first start that was cut off, or one with a file of before there were mirrors.
            return Content(file: file, damage: nil, needsRepair: true)
        case (.sound(let file), .damaged(let why)):
            return Content(file: file, damage: "\(mirror) \(why)", needsRepair: true)
        case (.damaged(let why), .sound(let file)):
            return Content(file: file, damage: "\(path) \(why)", needsRepair: true)
        case (.missing, .sound(let file)):
            return Content(file: file, damage: "\(path) is missing", needsRepair: true)
        case (let first, let second):
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

    private func read(_ path: String) throws(SystemError) -> Copy {
        guard FileSystem.exists(path) else { return .missing }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileSystem.contents(path)
        } catch {
            // A bad sector is damage like any other.
            guard error.isIOError else { throw error }
            return .damaged("cannot be read: \(error)")
        }
        return Self.isSound(bytes) ? .sound(bytes) : .damaged("is damaged")
    }

    private static func isSound(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { bytes in
            guard bytes.count >= headBytes else { return false }
            var reader = StateReader(bytes)
            guard let found = try? reader.integer(UInt32.self), found == magic,
                let checksum = try? reader.integer(UInt32.self)
            else { return false }
            return checksum
                == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[headBytes...]))
        }
    }
}
