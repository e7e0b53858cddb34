import Glibc
import TraceModel

/// Reads JSON piece by piece at the caller's pace, in memory that doesn't depend on the file's size:
/// one chunk of input and one text of at most `Limits.stringFieldBytesMax`.
///
/// The caller drives: look at `kind()`, then `enterObject`/`nextKey`, `enterArray`/`nextElement`,
/// `readText`, or `skipValue`. Lenient where recordings are: a comma before a closing bracket passes.
package final class JSONPullReader {
    package enum Kind {
        case object
        case array
        case string
        case number
        case literal
    }

    private let source: any ByteSource
    private let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    private var position = 0
    private var filled = 0
    private var chunkOffset = 0
    /// True right behind an opening bracket, where no comma is due.
    private var isFirst = false
    /// The last key, string or number, unescaped; what is beyond the limit is cut off.
    package private(set) var text: [UInt8] = []

    package init(_ source: any ByteSource) {
        self.source = source
        text.reserveCapacity(4096)
    }

    deinit { chunk.deallocate() }

    /// Bytes read so far.
    package var offset: Int { chunkOffset + position }

    // MARK: Structure

    /// What comes next; nothing is consumed but white space.
    package func kind() throws -> Kind {
        switch try peek() {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "N"),
            UInt8(ascii: "I"):
            return .literal
        default: throw JSONReadFailure.syntax(offset: offset, expected: "a value")
        }
    }

    package func enterObject() throws {
        try expect(UInt8(ascii: "{"), "{")
        isFirst = true
    }

    package func enterArray() throws {
        try expect(UInt8(ascii: "["), "[")
        isFirst = true
    }

    /// Moves to the value of the next key, which is then in `text`; false behind the object's end.
    package func nextKey() throws -> Bool {
        guard try nextMember(closing: UInt8(ascii: "}"), "}") else { return false }
        try readString()
        try expect(UInt8(ascii: ":"), ":")
        return true
    }

    /// Moves to the next element; false behind the array's end.
    package func nextElement() throws -> Bool {
        try nextMember(closing: UInt8(ascii: "]"), "]")
    }

    // MARK: Values

    /// Reads a string or a number into `text`; false where the value is something else, which is
    /// skipped.
    package func readText() throws -> Bool {
        switch try kind() {
        case .string:
            try readString()
            return true
        case .number:
            try readBareWord()
            return true
        case .object, .array, .literal:
            try skipValue()
            return false
        }
    }

    package func textEquals(_ name: StaticString) -> Bool {
        guard text.count == name.utf8CodeUnitCount else { return false }
        return text.withUnsafeBytes { bytes in
            bytes.baseAddress.map { memcmp($0, name.utf8Start, bytes.count) == 0 } ?? true
        }
    }

    /// Passes over one value of any size without keeping it.
    package func skipValue() throws {
        var depth = 0
        repeat {
            let next = try peek()
            switch next {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                guard depth <= Limits.jsonDepthMax else {
                    throw JSONReadFailure.tooDeep(offset: offset)
                }
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else {
                    throw JSONReadFailure.syntax(offset: offset, expected: "a value")
                }
                depth -= 1
                position += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else {
                    throw JSONReadFailure.syntax(offset: offset, expected: "a value")
                }
                position += 1
            case UInt8(ascii: "\""):
                try skipString()
            default:
                _ = try kind()
                try readBareWord()
            }
        } while depth > 0
        isFirst = false
    }

    // MARK: Bytes

    private func nextMember(closing: UInt8, _ name: String) throws -> Bool {
        var next = try peek()
        if next == UInt8(ascii: ","), !isFirst {
            position += 1
            next = try peek()
        } else if next != closing, !isFirst {
            throw JSONReadFailure.syntax(offset: offset, expected: ", or \(name)")
        }
        isFirst = false
        if next == closing {
            position += 1
            return false
        }
        return true
    }

    private func expect(_ byte: UInt8, _ name: String) throws {
        guard try peek() == byte else {
            throw JSONReadFailure.syntax(offset: offset, expected: name)
        }
        position += 1
    }

    /// The next byte that isn't white space, not consumed.
    private func peek() throws -> UInt8 {
        while true {
            if position == filled { try refill() }
            let byte = chunk[position]
            switch byte {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return byte
            }
        }
    }

    private func nextByte() throws -> UInt8 {
        if position == filled { try refill() }
        position += 1
        return chunk[position - 1]
    }

    private func refill() throws {
        chunkOffset += filled
        position = 0
        filled = 0
        filled = try source.read(into: chunk)
        if filled == 0 { throw JSONReadFailure.endOfInput }
    }

    private func keep(_ byte: UInt8) {
        if text.count < Limits.stringFieldBytesMax { text.append(byte) }
    }

    /// A number or a literal: everything up to a delimiter.
    private func readBareWord() throws {
        text.removeAll(keepingCapacity: true)
        while true {
            if position == filled { try refill() }
            let byte = chunk[position]
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), 0x20, 0x0A, 0x0D, 0x09:
                isFirst = false
                return
            default:
                keep(byte)
                position += 1
            }
        }
    }

    private func skipString() throws {
        try expect(UInt8(ascii: "\""), "a string")
        while true {
            let byte = try nextByte()
            if byte == UInt8(ascii: "\"") { return }
            if byte == UInt8(ascii: "\\") { _ = try nextByte() }
        }
    }

    private func readString() throws {
        try expect(UInt8(ascii: "\""), "a string")
        text.removeAll(keepingCapacity: true)
        while true {
            let byte = try nextByte()
            switch byte {
            case UInt8(ascii: "\""): return
            case UInt8(ascii: "\\"): try readEscape()
            default: keep(byte)
            }
        }
    }

    private func readEscape() throws {
        let byte = try nextByte()
        switch byte {
        case UInt8(ascii: "n"): keep(0x0A)
        case UInt8(ascii: "t"): keep(0x09)
        case UInt8(ascii: "r"): keep(0x0D)
        case UInt8(ascii: "b"): keep(0x08)
        case UInt8(ascii: "f"): keep(0x0C)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): keep(byte)
        case UInt8(ascii: "u"): try readUnicodeEscape()
        default: throw JSONReadFailure.syntax(offset: offset - 1, expected: "an escape")
        }
    }

    private func readUnicodeEscape() throws {
        var unit = try hexDigits()
        // A pair of surrogates is one scalar; half of one alone becomes U+FFFD.
        while (0xD800..<0xDC00).contains(unit) {
            guard try nextIsUnicodeEscape() else { return }
            let second = try hexDigits()
            if (0xDC00..<0xE000).contains(second) {
                keep(scalar: 0x10000 + (unit - 0xD800) << 10 + (second - 0xDC00))
                return
            }
            keep(scalar: 0xFFFD)
            unit = second
        }
        keep(scalar: unit)
    }

    /// Behind the first half of a pair: consumes `\u` where it follows. Otherwise the half stood alone
    /// and is kept as U+FFFD, with the other escape, if one follows, behind it.
    private func nextIsUnicodeEscape() throws -> Bool {
        if position == filled { try refill() }
        guard chunk[position] == UInt8(ascii: "\\") else {
            keep(scalar: 0xFFFD)
            return false
        }
        position += 1
        if position == filled { try refill() }
        guard chunk[position] == UInt8(ascii: "u") else {
            keep(scalar: 0xFFFD)
            try readEscape()
            return false
        }
        position += 1
        return true
    }

    private func hexDigits() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = try nextByte()
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw JSONReadFailure.syntax(offset: offset - 1, expected: "a hexadecimal digit")
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private func keep(scalar value: UInt32) {
        let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
        for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { keep(byte) }
    }
}
