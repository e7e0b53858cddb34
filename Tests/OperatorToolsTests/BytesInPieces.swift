import OperatorTools

/// Hands out bytes a few at a time, so that every boundary falls everywhere.
final class BytesInPieces: ByteSource {
    private let bytes: [UInt8]
    private let piece: Int
    private var offset = 0

    convenience init(_ text: String, piece: Int = 1) { self.init(Array(text.utf8), piece: piece) }

    init(_ bytes: [UInt8], piece: Int) {
        self.bytes = bytes
        self.piece = piece
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(piece, bytes.count - offset, buffer.count)
        buffer.copyBytes(from: bytes[offset..<(offset + count)])
        offset += count
        return count
    }

    var progress: (done: Int, total: Int) { (offset, bytes.count) }
}
