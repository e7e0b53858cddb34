import Compression
import SystemIO
import TraceModel

/// Writes one file from its beginning through a buffer, plain or compressed. Plain text goes past the page cache: what is
/// finalized is rarely read soon, and what a pass of a merge leaves for the next is read once.
final class MergeWriter {
    let path: String
    private let file: File
    /// Append here, then `rowEnded`.
    @exclusivity(unchecked) var text: RawBuffer
    private var written = 0
    private var drained = 0
    private let bufferBytes: Int
    private let compressor: CompressedWriter?
    private let syncs: Bool

    /// `syncs`: not where the caller syncs it later, with others.
    init(_ path: String, bufferBytes: Int, compression: FileCompression? = nil, syncs: Bool = true) throws {
        self.path = path
        self.syncs = syncs
        self.bufferBytes = bufferBytes
        compressor = try compression.map { (kind) throws(TraceError) in try CompressedWriter(kind) }
        file = try File(path, .replace)
        text = RawBuffer(capacity: bufferBytes, alignment: File.blockBytes)
    }

    /// Bytes of the file, once `finish` has returned.
    var count: Int { written }

    /// Bytes of text so far, before it is compressed.
    var textCount: Int { drained + text.count }

    /// Writes the text out where it fills the buffer. Blocks.
    func rowEnded() throws(SystemError) { if text.count >= bufferBytes { try drain(isLast: false) } }

    /// All is on the disk when this returns, where it `syncs`. Blocks.
    func finish() throws(SystemError) {
        try drain(isLast: true)
        if syncs { try file.syncData() }
    }

    private func drain(isLast: Bool) throws(SystemError) {
        var count = text.count
        if let compressor {
            try compressor.compress(text.bytes, isLast: isLast) { piece throws(SystemError) in
                try file.write(piece, at: written)
                written += piece.count
            }
        } else {
            // Only whole blocks can go past the cache: what is behind them waits for more.
            if !isLast { count -= count % File.blockBytes }
            guard count > 0 else { return }
            let whole = UnsafeRawBufferPointer(rebasing: text.bytes[..<count])
            try file.writeDirectly(whole, at: written)
            written += count
        }
        drained += count
        text.removeFirst(count)
    }
}
