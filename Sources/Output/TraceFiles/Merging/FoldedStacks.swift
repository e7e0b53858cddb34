import SystemIO
import TraceModel

/// Counts equal call stacks for flame graphs: lines `process;outermost;…;innermost count` in bytewise order. When the
/// memory limit is reached, the counts so far go to a sorted spill file; the spill files are merged at the end.
final class FoldedStacks {
    private var counts: [[UInt8]: UInt64] = [:]
    private var heldBytes = 0
    private var spills: [String] = []
    private var line: [UInt8] = []
    private let spillPrefix: String
    private let bytesMax: Int
    private let bufferBytes: Int

    /// The approximate memory of an entry in addition to its text, in bytes.
    private static let entryBytes = 64

    /// Spill files are named `spillPrefix` and a number. `write` removes them.
    init(spillPrefix: String, bytesMax: Int, bufferBytes: Int) {
        self.spillPrefix = spillPrefix
        self.bytesMax = bytesMax
        self.bufferBytes = bufferBytes
    }

    /// Counts one call of this stack. `frames` starts with the innermost frame, as agents send it.
    func add(process: UnsafeRawBufferPointer, frames: [UnsafeRawBufferPointer]) throws {
        line.removeAll(keepingCapacity: true)
        unsafe append(process)
        for index in unsafe frames.indices.reversed() {
            line.append(UInt8(ascii: ";"))
            unsafe append(frames[index])
        }
        try count(1)
    }

    /// Adds `weight` to the count of a path, whose first frame is the outermost one.
    func add(path frames: [[UInt8]], weight: UInt64) throws {
        line.removeAll(keepingCapacity: true)
        for (position, frame) in frames.enumerated() {
            if position > 0 { line.append(UInt8(ascii: ";")) }
            unsafe frame.withUnsafeBytes { unsafe append($0) }
        }
        try count(weight)
    }

    private func count(_ weight: UInt64) throws {
        if let known = counts[line] {
            counts[line] = known &+ weight
            return
        }
        counts[line] = weight
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
                sum &+= reader.count
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

    private func append(_ text: UnsafeRawBufferPointer) {
        for index in text.indices { line.append(unsafe Self.shown(text[index])) }
    }

    /// Replaces `;`, which separates frames, and control characters, which would end the line.
    static func shown(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: ";"): UInt8(ascii: ":")
        case 0..<0x20: UInt8(ascii: " ")
        default: byte
        }
    }

    private func append(_ key: [UInt8], _ count: UInt64, to writer: MergeWriter) throws {
        unsafe key.withUnsafeBytes { unsafe writer.text.append($0) }
        unsafe writer.text.append(byte: UInt8(ascii: " "))
        unsafe writer.text.appendDecimal(count)
        unsafe writer.text.append(byte: UInt8(ascii: "\n"))
        try writer.rowEnded()
    }
}

/// Reads the lines of a spill file in order.
final class FoldedSpill {
    /// The stack of the current line; nil after the last one.
    private(set) var key: [UInt8]?
    private(set) var count: UInt64 = 0
    private let reader: BufferedReader

    /// Opens the file and reads the first line.
    init(_ path: String, bufferBytes: Int) throws {
        reader = try BufferedReader(path, bufferBytes: bufferBytes)
        try next()
    }

    func next() throws {
        key = nil
        guard let end = try reader.findNewline(from: 0) else { return }
        let line = unsafe UnsafeRawBufferPointer(rebasing: reader.unread[..<end])
        guard let space = unsafe line.lastIndex(of: UInt8(ascii: " ")) else { throw damaged() }
        var parser = unsafe RowParser(line)
        parser.position = space + 1
        guard let count = parser.number() else { throw damaged() }
        self.count = count
        key = unsafe Array(line[..<space])
        reader.consume(end + 1)
    }

    private func damaged() -> TraceError {
        TraceError(.corrupt, "the temporary file \(reader.path) is damaged")
    }
}
