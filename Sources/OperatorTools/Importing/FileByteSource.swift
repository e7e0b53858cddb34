import SystemIO

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

    package var progress: (done: Int, total: Int) { (offset, size) }
}
