import Glibc
import SystemIO
package import TraceModel

/// A file from its start to its end.
package final class FileByteSource: ByteSource {
    private let file: File
    private let size: Int
    private var offset = 0

    package init(_ path: String) throws {
        file = try File(path, .read)
        size = try file.size()
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try file.read(into: buffer, at: offset)
        offset += count
        return count
    }

    /// Up to `count` bytes from the file's start, wherever reading has got to.
    package func firstBytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return Array(bytes.prefix(done))
    }

    /// When the file was last written.
    package func modified() throws -> EpochNanoseconds {
        var info = stat()
        try systemCall("fstat", file.path) { fstat(file.descriptor, &info) }
        return Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec)
    }

    package var progress: (done: Int, total: Int) { (offset, size) }
}
