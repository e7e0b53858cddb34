import SystemIO
import TraceModel

/// Sums equal call stacks for flame graphs: `process;outermost;…;innermost count` lines in bytewise order.
/// Beyond a bound of memory the sums so far go to sorted spill files, merged at the end.
final class FoldedStacks {
    private var counts: [[UInt8]: UInt64] = [:]
    private var heldBytes = 0
    private var spills: [String] = []
    private var line: [UInt8] = []
    private let spillPrefix: String
    private let bytesMax: Int
    private let bufferBytes: Int

    /// What an entry costs beside its text, about.
    private static let entryBytes = 64

    /// Spill files are named `spillPrefix` and a number, and removed by `write`.
    init(spillPrefix: String, bytesMax: Int, bufferBytes: Int) {
        self.spillPrefix = spillPrefix
        self.bytesMax = bytesMax
        self.bufferBytes = bufferBytes
    }

    /// One more call of this stack; the innermost frame comes first in `frames`, as agents send it.
    func add(process: UnsafeRawBufferPointer, frames: [UnsafeRawBufferPointer]) throws {
        line.removeAll(keepingCapacity: true)
        append(process)
        for frame in frames.reversed() {
            line.append(UInt8(ascii: ";"))
            append(frame)
        }
        if let known = counts[line] {
            counts[line] = known + 1
            return
        }
        counts[line] = 1
        heldBytes += line.count + Self.entryBytes
        if heldBytes > bytesMax { try spill() }
    }

    /// Writes all lines and removes the spill files. Blocks.
    func write(to writer: MergeWriter) throws {
        if spills.isEmpty {
            for key in sortedKeys { try append(key, counts[key] ?? 0, to: writer) }
            return
        }
        try spill()
        let readers = try spills.map { try FoldedSpill($0, bufferBytes: bufferBytes) }
        while let least = try nextKey(of: readers) {
            var sum: UInt64 = 0
            for reader in readers where reader.key == least {
                sum += reader.count
                try reader.next()
            }
            try append(least, sum, to: writer)
        }
        for path in spills { try FileSystem.remove(path) }
    }

    private func nextKey(of readers: [FoldedSpill]) throws -> [UInt8]? {
        readers.compactMap(\.key).min { $0.lexicographicallyPrecedes($1) }
    }

    private func spill() throws {
        let writer = try MergeWriter("\(spillPrefix)\(spills.count)", bufferBytes: bufferBytes)
        spills.append(writer.path)
        for key in sortedKeys { try append(key, counts[key] ?? 0, to: writer) }
        try writer.finish()
        counts.removeAll()
        heldBytes = 0
    }

    private var sortedKeys: [[UInt8]] { counts.keys.sorted { $0.lexicographicallyPrecedes($1) } }

    /// `;` separates frames and a control character would end the line.
    private func append(_ text: UnsafeRawBufferPointer) {
        for byte in text {
            switch byte {
            case UInt8(ascii: ";"): line.append(UInt8(ascii: ":"))
            case 0..<0x20: line.append(UInt8(ascii: " "))
            default: line.append(byte)
            }
        }
    }

    private func append(_ key: [UInt8], _ count: UInt64, to writer: MergeWriter) throws {
        key.withUnsafeBytes { writer.text.append($0) }
        writer.text.append(byte: UInt8(ascii: " "))
        writer.text.appendDecimal(count)
        writer.text.append(byte: UInt8(ascii: "\n"))
        try writer.rowEnded()
    }
}

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
