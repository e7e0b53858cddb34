import SystemIO
import TraceModel

/// Reads a file of serialized batches, one at a time: a single batch, or, where the name ends in `.pbs`, any number of
/// them, each preceded by its length as a varint.
package final class BatchFile {
    package let path: String
    package let size: Int
    private let file: File
    private let isDelimited: Bool
    private(set) var offset = 0
    private var isDone = false

    package init(_ path: String) throws {
        self.path = path
        file = try File(path, .read)
        size = try file.size()
        isDelimited = path.hasSuffix(".pbs")
    }

    /// Returns the next batch, or nil at the end.
    /// - Throws: `TraceError` where a length is wrong or beyond what the server accepts, `SystemError` where reading
    ///   fails.
    package func next() throws -> [UInt8]? {
        guard !isDone else { return nil }
        guard isDelimited else {
            isDone = true
            return try read(size, what: "batch")
        }
        guard offset < size else {
            isDone = true
            return nil
        }
        let prefix = try bytes(min(10, size - offset))
        var position = 0
        guard let length = Varint.read(prefix, at: &position) else {
            throw TraceError(.corrupt, "\(path): no length at byte \(offset)")
        }
        offset += position
        return try read(Int(clamping: length), what: "batch at byte \(offset)")
    }

    private func read(_ count: Int, what: String) throws -> [UInt8] {
        guard count <= Limits.messageBytesMax else {
            throw TraceError(
                .invalidArgument,
                "\(path): \(what) has \(count) bytes, the server accepts \(Limits.messageBytesMax)"
            )
        }
        guard count <= size - offset else {
            throw TraceError(.corrupt, "\(path): \(what) is cut off at the end of the file")
        }
        let batch = try bytes(count)
        offset += count
        return batch
    }

    private func bytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = try unsafe bytes.withUnsafeMutableBytes {
            try unsafe file.read(into: $0, at: offset)
        }
        guard done == count else {
            throw TraceError(.corrupt, "\(path): the file shrank while it was read")
        }
        return bytes
    }
}
