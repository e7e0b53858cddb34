import Compression
import SystemIO
import TraceModel

/// Writes one file sequentially through a buffer, plain or compressed. Plain text bypasses the page cache: final files
/// are rarely read soon, and intermediate runs are read once.
final class MergeWriter {
    let path: String
    private let file: File
    /// The buffer for the next row; call `rowEnded` after appending.
    @exclusivity(unchecked) var text: RawBuffer
    private var written = 0
    private var drained = 0
    private let bufferBytes: Int
    private let compressor: CompressedWriter?
    private let syncs: Bool

    /// Creates the file. `syncs` is false if the caller syncs it later, together with others.
    init(
        _ path: String,
        bufferBytes: Int,
        compression: FileCompression? = nil,
        syncs: Bool = true
    ) throws {
        self.path = path
        self.syncs = syncs
        self.bufferBytes = bufferBytes
        compressor = try compression.map { (kind) throws(TraceError) in try CompressedWriter(kind) }
        file = try File(path, .replace)
        unsafe text = RawBuffer(capacity: bufferBytes, alignment: File.blockBytes)
    }

    /// The size of the file, once `finish` has returned.
    var count: Int { written }

    /// The size of the text so far, before compression.
    var textCount: Int { unsafe drained + text.count }

    /// Writes the buffer if it is full. Blocks.
    func rowEnded() throws(SystemError) {
        if unsafe text.count >= bufferBytes { try drain(isLast: false) }
    }

    /// Writes the rest, and syncs the file if it `syncs`. Blocks.
    func finish() throws(SystemError) {
        try drain(isLast: true)
        if syncs { try file.syncData() }
    }

    private func drain(isLast: Bool) throws(SystemError) {
        var count = unsafe text.count
        if let compressor {
            try unsafe compressor.compress(text.bytes, isLast: isLast) {
                piece throws(SystemError) in
                try unsafe file.write(piece, at: written)
                written += piece.count
            }
        } else {
            // Only whole blocks can bypass the cache; the rest waits for more text.
            if !isLast { count -= count % File.blockBytes }
            guard count > 0 else { return }
            let whole = unsafe UnsafeRawBufferPointer(rebasing: text.bytes[..<count])
            try unsafe file.writeDirectly(whole, at: written)
            written += count
        }
        drained += count
        unsafe text.removeFirst(count)
    }
}
