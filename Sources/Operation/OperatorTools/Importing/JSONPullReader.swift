import Glibc
import TraceModel

/// Reads JSON one value at a time, as the caller requests, in memory that does not depend on the file's size: one
/// chunk of input and one text of at most `Limits.stringFieldBytesMax`.
///
/// The caller first calls `kind()`, then `enterObject`/`nextKey`, `enterArray`/`nextElement`, `readText` or
/// `skipValue`. Errors that recorders make are accepted: extra commas between members, byte order marks as white
/// space, and numbers that are not finite in all spellings (`isWord`).
@safe
package final class JSONPullReader {
    /// Kinds of JSON values.
    package enum Kind {
        case object
        case array
        case string
        case number
        /// `true`, `false`, or a number that is not finite.
        case word
        case null
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
    /// Whether a word has been read into `text` to determine its kind.
    private var isWordRead = false

    package init(_ source: any ByteSource) {
        self.source = source
        text.reserveCapacity(4096)
    }

    deinit { unsafe chunk.deallocate() }

    /// Bytes read so far.
    package var offset: Int { chunkOffset + position }

    // MARK: Structure

    /// What comes next; nothing is consumed but white space.
    package func kind() throws -> Kind {
        if isWordRead { return Self.kind(ofWord: text) ?? .word }
        switch try peek() {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: ":"):
            throw JSONReadFailure.syntax(offset: offset, expected: "a value")
        default: return try kindOfWord()
        }
    }

    /// Reads a number with a sign, or a word, into `text`, where it stays until the value is read or skipped.
    private func kindOfWord() throws -> Kind {
        let start = offset
        try readBareWord()
        guard let kind = Self.kind(ofWord: text) else {
            throw JSONReadFailure.syntax(offset: start, expected: "a value")
        }
        isWordRead = true
        return kind
    }

    private static func kind(ofWord text: [UInt8]) -> Kind? {
        if text.elementsEqual("null".utf8) { return .null }
        return isNumber(text) ? .number : isWord(text) ? .word : nil
    }

    /// `true`, `false`, and what printing a number that is not finite makes of it in one language or another, with a sign or
    /// without, in capitals or not: `NaN`, `nan(ind)`, `Infinity`, `inf`, `1.#INF`, `1.#QNAN`.
    private static func isWord(_ text: [UInt8]) -> Bool {
        if text.elementsEqual("true".utf8) || text.elementsEqual("false".utf8) { return true }
        let isSigned = text.first == UInt8(ascii: "-") || text.first == UInt8(ascii: "+")
        let word = text.dropFirst(isSigned ? 1 : 0).map {
            (0x41...0x5A).contains($0) ? $0 | 0x20 : $0
        }
        return ["nan", "inf", "infinity"].contains { word.elementsEqual($0.utf8) }
            || word.starts(with: "nan(".utf8) && word.last == UInt8(ascii: ")")
            || word.starts(with: "1.#".utf8)
    }

    /// Whether digits follow the sign, where there is one.
    private static func isNumber(_ text: [UInt8]) -> Bool {
        let digits = text.dropFirst(
            text.first == UInt8(ascii: "-") || text.first == UInt8(ascii: "+") ? 1 : 0
        )
        guard let first = digits.first, (0x30...0x39).contains(first) || first == UInt8(ascii: ".")
        else {
            return false
        }
        return !digits.contains(UInt8(ascii: "#"))
    }

    /// Up to `count` bytes that come next, not consumed; fewer only where there are no more.
    package func peek(_ count: Int) throws -> [UInt8] {
        while filled - position < count {
            let left = unsafe UnsafeRawBufferPointer(rebasing: chunk[position..<filled])
            unsafe chunk.copyBytes(from: left)
            (chunkOffset, position, filled) = (chunkOffset + position, 0, left.count)
            let more = try unsafe source.read(
                into: UnsafeMutableRawBufferPointer(rebasing: chunk[filled...])
            )
            if more == 0 { break }
            filled += more
        }
        return unsafe Array(chunk[position..<min(filled, position + count)])
    }

    /// Whether something follows that is neither white space nor a comma.
    package func hasMore() throws -> Bool {
        do {
            while try peek() == UInt8(ascii: ",") { position += 1 }
            return true
        } catch JSONReadFailure.endOfInput { return false }
    }

    /// Passes over everything that is left.
    package func drain() throws {
        do {
            while true {
                position = filled
                try refill()
            }
        } catch JSONReadFailure.endOfInput { return }
    }

    /// Moves behind an object's opening brace.
    package func enterObject() throws {
        try expect(UInt8(ascii: "{"), "{")
        isFirst = true
    }

    /// Moves behind an array's opening bracket.
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
    package func nextElement() throws -> Bool { try nextMember(closing: UInt8(ascii: "]"), "]") }

    // MARK: Values

    /// Reads a string or a number into `text`. Skips any other value and returns false.
    package func readText() throws -> Bool {
        switch try kind() {
        case .string:
            try readString()
            return true
        case .number:
            if !isWordRead { try readBareWord() }
            isWordRead = false
            return true
        case .object, .array, .word, .null:
            try skipValue()
            return false
        }
    }

    /// Whether `text` equals the name.
    package func textEquals(_ name: StaticString) -> Bool {
        guard text.count == name.utf8CodeUnitCount else { return false }
        return unsafe text.withUnsafeBytes { bytes in
            unsafe bytes.baseAddress.map { unsafe memcmp($0, name.utf8Start, bytes.count) == 0 }
                ?? true
        }
    }

    /// Passes over one value of any size and depth without keeping it.
    package func skipValue() throws {
        if isWordRead {
            isWordRead = false
            return
        }
        var depth = 0
        repeat {
            let next = try peek()
            switch next {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
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
            case UInt8(ascii: "\""): try skipString()
            default:
                if try kind() == .number, !isWordRead { try readBareWord() }
                isWordRead = false
            }
        } while depth > 0
        isFirst = false
    }

    // MARK: Bytes

    private func nextMember(closing: UInt8, _ name: String) throws -> Bool {
        var next = try peek()
        if next != UInt8(ascii: ","), next != closing, !isFirst {
            throw JSONReadFailure.syntax(offset: offset, expected: ", or \(name)")
        }
        while next == UInt8(ascii: ",") {
            position += 1
            next = try peek()
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
            let byte = unsafe chunk[position]
            switch byte {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            case 0xEF where try peek(3) == [0xEF, 0xBB, 0xBF]: position += 3
            default: return byte
            }
        }
    }

    private func nextByte() throws -> UInt8 {
        if position == filled { try refill() }
        position += 1
        return unsafe chunk[position - 1]
    }

    private func refill() throws {
        chunkOffset += filled
        position = 0
        filled = 0
        filled = try unsafe source.read(into: chunk)
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
            let byte = unsafe chunk[position]
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "\""), 0x20,
                0x0A, 0x0D, 0x09:
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
        guard unsafe chunk[position] == UInt8(ascii: "\\") else {
            keep(scalar: 0xFFFD)
            return false
        }
        position += 1
        if position == filled { try refill() }
        guard unsafe chunk[position] == UInt8(ascii: "u") else {
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

/// Why JSON couldn't be read on.
package enum JSONReadFailure: Error, CustomStringConvertible, Equatable {
    /// The text ends inside a value: a recording cut off, which the trace format allows.
    case endOfInput
    case syntax(offset: Int, expected: String)

    package var description: String {
        switch self {
        case .endOfInput: "the file ends in the middle"
        case .syntax(let offset, let expected): "byte \(offset): expected \(expected)"
        }
    }
}
