import SystemIO
import TraceModel

/// Reads back the lines that `FoldedStacks` spilled, in their order.
final class FoldedSpill {
    /// The current line's stack; nil after the last.
    private(set) var key: [UInt8]?
    private(set) var count: UInt64 = 0
    private let reader: BufferedReader

    /// Stands at the first line.
    init(_ path: String, bufferBytes: Int) throws {
        reader = try BufferedReader(path, bufferBytes: bufferBytes)
        try next()
    }

    func next() throws {
        key = nil
        guard let end = try reader.findNewline(from: 0) else { return }
        let line = UnsafeRawBufferPointer(rebasing: reader.unread[..<end])
        guard let space = line.lastIndex(of: UInt8(ascii: " ")) else { throw damaged() }
        var parser = RowParser(line)
        parser.position = space + 1
        guard let count = parser.number() else { throw damaged() }
        self.count = count
        key = Array(line[..<space])
        reader.consume(end + 1)
    }

    private func damaged() -> TraceError { TraceError(.corrupt, "the temporary file \(reader.path) is damaged") }
}
