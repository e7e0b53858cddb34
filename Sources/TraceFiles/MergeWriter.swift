import Compression
import SystemIO
import TraceModel

/// Writes one file from its beginning through a buffer, plain or compressed.
final class MergeWriter {
    let path: String
    private let file: File
    /// Append here, then `rowEnded`.
    var text: RawBuffer
    private var written = 0
    private var drained = 0
    private let bufferBytes: Int
    private let compressor: CompressedWriter?

    init(_ path: String, bufferBytes: Int, compression: FileCompression? = nil) throws {
        self.path = path
        self.bufferBytes = bufferBytes
        compressor = try compression.map { (kind) throws(TraceError) in try CompressedWriter(kind) }
        file = try File(path, .replace)
        text = RawBuffer(capacity: bufferBytes)
    }

    /// Bytes of the file, once `finish` has returned.
    var count: Int { written }

    /// Bytes of text so far, before it is compressed.
    var textCount: Int { drained + text.count }

    /// Writes the text out where it fills the buffer. Blocks.
    func rowEnded() throws(SystemError) {
        if text.count >= bufferBytes { try drain(isLast: false) }
    }

    /// All is on the disk when this returns. Blocks.
    func finish() throws(SystemError) {
        try drain(isLast: true)
        try file.syncData()
    }

    private func drain(isLast: Bool) throws(SystemError) {
        if let compressor {
            try compressor.compress(text.bytes, isLast: isLast) { piece throws(SystemError) in
                try write(piece)
            }
        } else {
            try write(text.bytes)
        }
        drained += text.count
        text.removeAll()
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        try file.write(bytes, at: written)
        written += bytes.count
    }
}
