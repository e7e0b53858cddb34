/// Walks the words and numbers of a small text of the kernel's.
struct FieldScanner {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next line without its end, nil behind the last.
    mutating func line() -> FieldScanner? {
        guard !rest.isEmpty else { return nil }
        let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
        let line = rest[rest.startIndex..<end]
        rest = rest[min(end + 1, rest.endIndex)...]
        return FieldScanner(line)
    }

    /// The next run of bytes other than blanks, nil where there is none.
    mutating func word() -> ArraySlice<UInt8>? {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0A }
        guard let start = rest.firstIndex(where: { !isBlank($0) }) else { return nil }
        let end = rest[start...].firstIndex(where: isBlank) ?? rest.endIndex
        let word = rest[start..<end]
        rest = rest[end...]
        return word
    }

    /// The next word as a decimal number.
    mutating func number() -> UInt64? {
        guard let word = word() else { return nil }
        return UInt64(String(decoding: word, as: UTF8.self))
    }

    /// Passes over some words; nil where there are fewer.
    mutating func skip(_ count: Int) -> Void? {
        for _ in 0..<count {
            guard word() != nil else { return nil }
        }
        return ()
    }

    /// The number behind `name` on the first line that begins with it.
    static func number(named name: String, in bytes: [UInt8]) -> UInt64? {
        var lines = FieldScanner(bytes)
        while var line = lines.line() {
            guard let first = line.word(), first.elementsEqual(name.utf8) else { continue }
            if let value = line.number() { return value }
            // `se.nr_migrations : 12` has its colon apart.
            return line.number()
        }
        return nil
    }
}
