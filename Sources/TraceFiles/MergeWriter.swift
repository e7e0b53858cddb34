import SystemIO

/// Writes one file from its beginning through a buffer.
final class MergeWriter {
    let path: String
    private let file: File
    /// Append here, then `rowEnded`.
    var text: RawBuffer
    private var written = 0
    private let bufferBytes: Int

    init(_ path: String, bufferBytes: Int) throws(SystemError) {
        self.path = path
        self.bufferBytes = bufferBytes
        file = try File(path, .replace)
        text = RawBuffer(capacity: bufferBytes)
    }

    /// Bytes so far, written or not.
    var count: Int { written + text.count }

    /// Writes the text out where it fills the buffer. Blocks.
    func rowEnded() throws(SystemError) {
        if text.count >= bufferBytes { try drain() }
    }

    /// Drops the last bytes of what has been appended, also where they have been written.
    func removeLast(_ bytes: Int) throws(SystemError) {
        if text.count >= bytes {
            text.truncate(to: text.count - bytes)
            return
        }
        try drain()
        written -= bytes
        try file.truncate(to: written)
    }

    /// All is on the disk when this returns. Blocks.
    func finish() throws(SystemError) {
        try drain()
        try file.syncData()
    }

    private func drain() throws(SystemError) {
        try file.write(text.bytes, at: written)
        written += text.count
        text.removeAll()
    }
}
