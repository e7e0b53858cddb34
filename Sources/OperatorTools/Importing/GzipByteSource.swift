import Compression
import TraceModel

/// A gzip file, expanded as it is read.
final class GzipByteSource: ByteSource {
    private static let magic: [UInt8] = [0x1F, 0x8B]

    private let file: FileByteSource
    private let reader: GunzipReader
    private var expanded = [UInt8](repeating: 0, count: 256 << 10)

    init(_ file: FileByteSource) throws {
        self.file = file
        reader = try GunzipReader { (buffer: UnsafeMutableRawBufferPointer) throws(TraceError) in
            do {
                return try file.read(into: buffer)
            } catch {
                throw TraceError(.system, "the recording can't be read", cause: error)
            }
        }
    }

    /// True where the file begins as gzip does. Reads nothing away.
    static func isGzip(_ file: FileByteSource) throws -> Bool {
        try file.firstBytes(magic.count) == magic
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        precondition(buffer.count >= expanded.count)
        let count = try reader.read(into: &expanded)
        buffer.copyBytes(from: expanded[..<count])
        return count
    }

    /// In bytes of the file, which is what its size is known in.
    var progress: (done: Int, total: Int) { file.progress }
}
