package import TraceModel

/// A JSON value with the line in which it begins.
package struct ConfigurationNode: Sendable {
    /// A JSON value.
    package enum Content: Sendable {
        case object([Member])
        case array([ConfigurationNode])
        case string(String)
        case number(Double)
        case bool(Bool)
        case null
    }

    /// A member of a JSON object, with the line of its key.
    package struct Member: Sendable {
        package let key: String
        package let line: Int
        package let value: ConfigurationNode
    }

    package let line: Int
    package let content: Content
}

/// Parses JSON (RFC 8259) strictly and names the line of an error. Not for the hot path.
package struct ConfigurationParser {
    private static let depthMax = 16

    private let bytes: [UInt8]
    private let file: String
    private var at = 0
    private var line = 1

    private init(_ bytes: [UInt8], file: String) {
        self.bytes = bytes
        self.file = file
    }

    /// Parses a text; `file` is its name in errors.
    /// - Throws: `TraceError(.configuration)` with the file's name and the line.
    package static func parse(
        _ bytes: [UInt8],
        file: String
    ) throws(TraceError) -> ConfigurationNode {
        guard bytes.count <= Limits.configurationBytesMax else {
            throw TraceError(
                .configuration,
                "\(file) has more than \(Limits.configurationBytesMax) bytes"
            )
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let place = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
            throw TraceError(.configuration, "\(file):\(place + 1): it is no valid UTF-8")
        }
        var parser = ConfigurationParser(bytes, file: file)
        let root = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.at == bytes.count else {
            throw parser.error("text follows the end of the JSON value")
        }
        return root
    }

    private func error(_ problem: String) -> TraceError {
        TraceError(.configuration, "\(file):\(line): \(problem)")
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) {
            if byte == 0x0A { line += 1 }
            at += 1
        }
    }

    private mutating func take(_ character: UInt8) -> Bool {
        skipSpace()
        guard next == character else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(TraceError) -> ConfigurationNode {
        guard depth < Self.depthMax else { throw error("nested too deep") }
        skipSpace()
        let line = line
        let content: ConfigurationNode.Content
        switch next {
        case UInt8(ascii: "{"): content = .object(try members(depth: depth))
        case UInt8(ascii: "["): content = .array(try elements(depth: depth))
        case UInt8(ascii: "\""): content = .string(try string())
        case nil: throw error("the text ends too early")
        default: content = try word()
        }
        return ConfigurationNode(line: line, content: content)
    }

    private mutating func members(depth: Int) throws(TraceError) -> [ConfigurationNode.Member] {
        at += 1
        var members: [ConfigurationNode.Member] = []
        if take(UInt8(ascii: "}")) { return members }
        repeat {
            skipSpace()
            let line = line
            guard next == UInt8(ascii: "\"") else { throw error("a key in quotes is expected") }
            let key = try string()
            if members.contains(where: { $0.key == key }) {
                throw error("\"\(key)\" appears twice")
            }
            guard take(UInt8(ascii: ":")) else { throw error("\":\" is expected after \"\(key)\"") }
            let value = try value(depth: depth + 1)
            members.append(ConfigurationNode.Member(key: key, line: line, value: value))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw error("\",\" or \"}\" is expected") }
        return members
    }

    private mutating func elements(depth: Int) throws(TraceError) -> [ConfigurationNode] {
        at += 1
        var elements: [ConfigurationNode] = []
        if take(UInt8(ascii: "]")) { return elements }
        repeat { elements.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw error("\",\" or \"]\" is expected") }
        return elements
    }

    private mutating func string() throws(TraceError) -> String {
        at += 1
        var text: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text += try escape()
            case 0..<0x20: throw error("a string contains a control character")
            default: text.append(byte)
            }
        }
        throw error("a string is not closed")
    }

    private mutating func escape() throws(TraceError) -> [UInt8] {
        guard let byte = next else { throw error("a string is not closed") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            let digits = bytes[at..<min(at + 4, bytes.count)]
            let text = String(decoding: digits, as: UTF8.self)
            guard digits.count == 4, text.allSatisfy(\.isHexDigit),
                let code = UInt32(text, radix: 16),
                let scalar = Unicode.Scalar(code)
            else { throw error("\\u\(text) is no supported character escape") }
            at += 4
            return Array(String(Character(scalar)).utf8)
        default: throw error("an unknown escape follows a backslash")
        }
    }

    private mutating func word() throws(TraceError) -> ConfigurationNode.Content {
        let start = at
        while let byte = next, !" \t\r\n,]}:\"".utf8.contains(byte) { at += 1 }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        switch text {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .null
        default:
            let isPlain = text.utf8.allSatisfy { "+-.0123456789eE".utf8.contains($0) }
            let digits = text.drop { $0 == "-" }
            guard isPlain, let first = digits.first, first.isNumber, text.last?.isNumber == true,
                first != "0" || digits.count == 1
                    || ".eE".contains(digits.dropFirst().first ?? "."),
                let number = Double(text), number.isFinite
            else { throw error("\"\(text)\" is no JSON value") }
            return .number(number)
        }
    }
}
