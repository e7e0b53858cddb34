import Compression
import Glibc
import SystemIO
import TraceModel

/// Bytes that come in order, a piece at a time.
package protocol ByteSource: AnyObject {
    /// Fills the front of `buffer`; returns how much, 0 only at the end. Blocks.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
    /// Bytes taken from the file so far and in all, for showing progress; of what has no size nothing is done of nothing.
    var progress: (done: Int, total: Int) { get }
    /// Whether what is compressed has turned out to end early.
    var isCutOff: Bool { get }
    /// Bytes behind the end of what is compressed, which are none of it.
    var strayBytes: Int { get }
}

extension ByteSource {
    package var isCutOff: Bool { false }
    package var strayBytes: Int { 0 }
}

/// A file, pipe or device from its start to its end. Waiting for a pipe ends when `stop` is raised.
final class FileByteSource: ByteSource {
    /// Stands for standard input.
    static let standardInput = "-"
    private static let waitMilliseconds: Int32 = 100

    private let path: String
    private let descriptor: Int32
    private let size: Int
    /// When the file was last written; nil of what is no file.
    let modified: EpochNanoseconds?
    private let stop: StopSignal?
    private var begin: [UInt8] = []
    private var done = 0

    init(_ path: String, stop: StopSignal?) throws {
        self.path = path == Self.standardInput ? "standard input" : path
        self.stop = stop
        // A pipe that nobody writes to yet is waited for below, where the wait can be ended.
        let opened =
            path == Self.standardInput
            ? try Self.duplicateOfStandardInput()
            : try systemCall("open", path) { unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        descriptor = opened
        var info = stat()
        try systemCall("fstat", path) { unsafe fstat(opened, &info) }
        let isFile = info.st_mode & S_IFMT == S_IFREG
        size = isFile ? Int(info.st_size) : 0
        modified =
            isFile ? Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec) : nil
    }

    deinit { close(descriptor) }

    private static func duplicateOfStandardInput() throws -> Int32 {
        try systemCall("dup", "standard input") { fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard begin.isEmpty else {
            let count = min(begin.count, buffer.count)
            unsafe buffer.copyBytes(from: begin[..<count])
            begin.removeFirst(count)
            return count
        }
        return try unsafe readOn(into: buffer)
    }

    private func readOn(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            if modified == nil { try wait() }
            do {
                let count = try systemCall("read", path) {
                    unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                }
                done += count
                return count
            } catch {
                // Somebody else may have read what there was.
                guard error.errno == EAGAIN else { throw error }
            }
        }
    }

    private func wait() throws {
        while true {
            if stop?.isRaised == true { throw Interrupted() }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&entry, 1, Self.waitMilliseconds) > 0 { return }
        }
    }

    /// The file's first bytes, which are read again afterwards: `count`, or as many as there are.
    func firstBytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        while begin.count < count {
            let done = try unsafe bytes.withUnsafeMutableBytes { try unsafe readOn(into: $0) }
            if done == 0 { break }
            begin += bytes[..<done]
        }
        return Array(begin.prefix(count))
    }

    var progress: (done: Int, total: Int) { (done, size) }
}

/// A compressed file, expanded as it is read. One that is cut off ends where the last of its whole pieces does.
final class ExpandedByteSource: ByteSource {
    private let file: FileByteSource
    private let reader: ExpandingReader
    private var expanded = [UInt8](repeating: 0, count: 128 << 10)
    /// What of `expanded` has not been handed on.
    private var left = 0..<0
    private(set) var isCutOff = false
    private(set) var strayBytes = 0

    init(_ file: FileByteSource, _ compression: FileCompression) throws {
        self.file = file
        reader = try unsafe ExpandingReader(compression) {
            (buffer: UnsafeMutableRawBufferPointer) throws(TraceError) in
            do { return try unsafe file.read(into: buffer) } catch {
                throw TraceError(.system, "the recording can't be read", cause: error)
            }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if left.isEmpty { left = 0..<(try expandMore()) }
        let piece = left.prefix(buffer.count)
        unsafe buffer.copyBytes(from: expanded[piece])
        left = left.dropFirst(piece.count)
        return piece.count
    }

    private func expandMore() throws -> Int {
        if isCutOff || strayBytes > 0 { return 0 }
        do { return try reader.read(into: &expanded) } catch {
            if error.cause is Interrupted { throw Interrupted() }
            isCutOff = reader.isCutOff
            strayBytes = reader.strayBytes
            guard isCutOff || strayBytes > 0 else { throw error }
        }
        while strayBytes > 0 {
            let more = try unsafe expanded.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            if more == 0 { break }
            strayBytes += more
        }
        return 0
    }

    /// In bytes of the file, which is what its size is known in.
    var progress: (done: Int, total: Int) { file.progress }
}
