import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Compares the text primitives with known results and with other implementations.
struct RowTextTests {
    @Test func decimals() {
        let values: [UInt64] = [
            0, 1, 9, 10, 11, 99, 100, 101, 999, 1_000, 9_999, 10_000, 99_999, 100_000, 12_345_678,
            UInt64(UInt32.max),
            UInt64.max - 1, UInt64.max,
        ]
        for value in values { #expect(text { $0.appendDecimal(value) } == "\(value)") }
        for value in UInt64(0)...10_100 { #expect(text { $0.appendDecimal(value) } == "\(value)") }
        var random = SeededGenerator(seed: 1)
        for _ in 0..<2_000 {
            let value = random.next() >> UInt64(random.next() % 64)
            #expect(text { $0.appendDecimal(value) } == "\(value)")
            let signed = Int64(bitPattern: value)
            #expect(text { $0.appendDecimal(signed) } == "\(signed)")
            #expect(text { $0.appendHex(value) } == String(value, radix: 16))
        }
        #expect(text { $0.appendDecimal(Int64.min) } == "-9223372036854775808")
        #expect(text { $0.appendDecimal(UInt32(70_000)) } == "70000")
        #expect(text { $0.appendHex(0) } == "0")
    }

    /// Every byte at every position, in texts of every length that is checked differently.
    @Test func plainTextIsUnchangedInBothOutputs() {
        for length in 1...20 {
            for position in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                    bytes[position] = byte
                    let isPlain = bytes.withUnsafeBytes { RawBuffer.isPlainText(ByteView($0)) }
                    let isFormula = position == 0 && "=+-@\t\r".utf8.contains(byte)
                    let isBreak = byte < 0x20 || byte >= 0x80 || "\"\\,".utf8.contains(byte)
                    #expect(isPlain == !(isFormula || isBreak), "\(bytes)")
                }
            }
        }
        #expect(!RawBuffer.isPlainText(.empty))
    }

    /// Escaping may add half of the text's size and a few bytes more; longer text is cut.
    @Test func textThatEscapingMakesTooLongIsCut() {
        func shown(_ text: String, spoiled: Bool = false) -> [UInt8] {
            Array(text.utf8).map { spoiled && $0 == UInt8(ascii: "~") ? 0xFF : $0 }.withUnsafeBytes
            {
                Array(RawBuffer.shown(ByteView($0)).buffer)
            }
        }
        let usual = [
            "", "a", "operator\"\"_km", #"C:\Program Files\a\b\c\d\e"#, "\u{1}\u{2}\u{3}\u{4}\u{5}",
            #"{"key":"value","n":[1,2,3],"text":"a \"b\" c"}"#, "größe",
            String(repeating: "ü", count: 2_000),
            String(repeating: "\"a", count: 2_000), "a\tb\nc",
        ]
        for text in usual { #expect(shown(text) == Array(text.utf8), "\(text)") }
        for (text, spoiled) in [
            (String(repeating: "\u{1}", count: 4_000), false),
            (String(repeating: "\"", count: 4_000), false),
            (String(repeating: "~", count: 4_000), true),
            (String(repeating: "abc\u{1}\u{2}", count: 800), false),
            (String(repeating: "ü\u{1}", count: 800), false),
        ] {
            let kept = shown(text, spoiled: spoiled)
            #expect(kept.count >= 7 && kept.count < text.utf8.count)
            kept.withUnsafeBytes { bytes in
                let view = ByteView(bytes)
                #expect(RawBuffer.shown(view).count == kept.count, "shown once more it is the same")
                var json = RawBuffer()
                let replaced = json.appendJSONString(view)
                #expect(spoiled || replaced == 0, "no scalar is cut")
                let most = kept.count * 3 / 2 + Limits.escapedSpareBytes + 2
                #expect(json.count <= most && json.count > most - 8)
                var csv = RawBuffer()
                csv.appendCSVField(view, guardsFormulas: true)
                #expect(csv.count <= most + 1)
            }
        }
        // The frames of a stack share the spare bytes, and a bar takes six bytes.
        var spare = Limits.escapedSpareBytes
        let frames = (0..<20).map { _ in
            Array("|".utf8).withUnsafeBytes { RawBuffer.shown(frame: ByteView($0), &spare).count }
        }
        #expect(frames == Array(repeating: 1, count: 6) + Array(repeating: 0, count: 14))
    }

    @Test func numbersAreReadBack() {
        var random = SeededGenerator(seed: 3)
        for round in 0..<2_000 {
            let value =
                round < 3 ? UInt64.max - UInt64(round) : random.next() >> (random.next() % 64)
            // Characters that end a number, including the neighbours of the digits.
            for end in ["", "/", ":", ",1234567890", "\u{10}", "p"] {
                let read = parsed("\(value)\(end)") { ($0.number(), $0.position) }
                #expect(read.0 == value)
                #expect(read.1 == "\(value)".utf8.count)
            }
        }
        #expect(parsed("18446744073709551616") { $0.number() } == nil)
        #expect(parsed("00000000000000000000000012") { $0.number() } == 12)
        #expect(parsed("") { $0.number() } == nil)
        #expect(parsed("x") { $0.number() } == nil)
    }

    @Test(arguments: [
        (#""""#, true), (#""a""#, true), (#""a\"b""#, true), (#""a\\""#, true), (#""\\\"""#, true),
        (#""a"#, false),
        (#""a\""#, false), (#""a\\\""#, false), ("a", false), ("", false),
    ]) func textsAreReadUpToTheirQuote(_ text: String, isWhole: Bool) {
        let rest = isWhole ? ",\"next\"" : ""
        let read = parsed(text + rest) {
            ($0.text().map { String(decoding: $0, as: UTF8.self) }, $0.position)
        }
        #expect(read.0 == (isWhole ? text : nil))
        if isWhole { #expect(read.1 == text.utf8.count) }
    }

    private func parsed<Result>(_ text: String, _ body: (inout RowParser) -> Result) -> Result {
        Array(text.utf8).withUnsafeBytes {
            var parser = RowParser($0)
            return body(&parser)
        }
    }

    @Test(arguments: [
        (0, "0"), (1, "0.001"), (1_000, "1"), (1_010, "1.010"), (999_999, "999.999"),
        (1_760_000_000_123_456_000, "1760000000123456"),
        (1_760_000_000_123_456_789, "1760000000123456.789"),
        (-1, "-0.001"), (-2_500, "-2.500"), (Int64.min, "-9223372036854775.808"),
    ]) func microseconds(_ ns: Int64, _ expected: String) {
        let written = text { $0.appendMicroseconds(ns: ns) }
        #expect(written == expected)
        var bytes = Array(written.utf8)
        bytes.withUnsafeMutableBytes {
            var parser = RowParser(UnsafeRawBufferPointer($0))
            #expect(parser.microseconds() == ns)
        }
    }

    @Test(arguments: [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-3.0, "-3"), (-1.5, "-1.5"), (12.34, "12.34"),
        (0.1, "0.1"),
        (0.000001, "0.000001"), (0x1p53 - 1, "9007199254740991"), (85.000001, "85.000001"),
        (1e15, "1000000000000000"),
        (0x1p60, "1.152921504606847e+18"), (0.1 + 0.2, "0.30000000000000004"), (1e300, "1e+300"),
        (.leastNonzeroMagnitude, "5e-324"), (1e-7, "1e-07"),
    ]) func doubles(_ value: Double, _ expected: String) {
        #expect(text { $0.appendJSONDouble(value) } == expected)
        // Numbers in tables always have a point or an exponent.
        let isWhole = expected.allSatisfy { "-0123456789".contains($0) }
        #expect(text { $0.appendCSVDouble(value) } == (isWhole ? expected + ".0" : expected))
    }

    @Test func doublesReadBackAsTheSame() throws {
        var random = SeededGenerator(seed: 2)
        for round in 0..<20_000 {
            let value: Double
            switch round % 4 {
            case 0: value = Double(bitPattern: random.next())
            case 1: value = Double(Int64(random.next() % 2_000_000)) / 100
            case 2: value = Double(random.next() % 1_000_000_007) / 1e6
            default: value = Double.random(in: -1e4...1e4, using: &random)
            }
            guard value.isFinite else { continue }
            let written = text { $0.appendJSONDouble(value) }
            #expect(Double(written) == value)
            #expect(try JSONSerialization.jsonObject(with: Data("[\(written)]".utf8)) is [Double])
        }
    }

    @Test func nanAndInfinities() {
        for value in [Double.nan, .infinity, -.infinity, .signalingNaN] {
            #expect(text { $0.appendJSONDouble(value) } == "null")
            #expect(text { $0.appendCSVDouble(value) } == "")
        }
    }

    @Test(arguments: [
        ("", "\"\""), ("main", "\"main\""), ("a\"b", "\"a\\\"b\""), ("a\\b", "\"a\\\\b\""),
        ("tab\tnl\ncr\r", "\"tab\\tnl\\ncr\\r\""),
        ("\0\u{1}\u{1F}\u{7F}", "\"\\u0000\\u0001\\u001f\u{7F}\""),
        ("std::vector<int>::push_back", "\"std::vector<int>::push_back\""),
        ("日本語 naïve 🚀", "\"日本語 naïve 🚀\""),
    ]) func jsonStrings(_ value: String, _ expected: String) {
        #expect(text { appendJSON(value, to: &$0) } == expected)
    }

    @Test func invalidUTF8IsReplacedAsInSwift() throws {
        var random = SeededGenerator(seed: 3)
        let pool: [UInt8] = [
            0x00, 0x1F, 0x20, 0x22, 0x5C, 0x41, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2,
            0xDF, 0xE0, 0xE1, 0xED,
            0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF, 0x8F, 0x90,
        ]
        for _ in 0..<20_000 {
            let count = Int(random.next() % 24)
            let bytes = (0..<count).map { _ in pool[Int(random.next() % UInt64(pool.count))] }
            let expected = String(decoding: bytes, as: UTF8.self)
            var replaced = 0
            let written = text { buffer in
                replaced = bytes.withUnsafeBytes { buffer.appendJSONString(ByteView($0)) }
            }
            let parsed = try JSONSerialization.jsonObject(with: Data("[\(written)]".utf8))
            let strings = try #require(parsed as? [String])
            #expect(Array(strings[0].utf8) == Array(expected.utf8))
            let marks = expected.unicodeScalars.count { $0 == "\u{FFFD}" }
            let sent = String(validating: bytes, as: UTF8.self)?.unicodeScalars.count {
                $0 == "\u{FFFD}"
            }
            #expect(replaced == marks - (sent ?? 0))
            let csv = text { buffer in
                bytes.withUnsafeBytes { _ = buffer.appendCSVField(ByteView($0)) }
            }
            #expect(unquoted(csv) == Array(expected.utf8))
        }
    }

    @Test(arguments: [
        ("", ""), ("plain text", "plain text"), ("a,b", "\"a,b\""),
        ("say \"hi\"", "\"say \"\"hi\"\"\""),
        ("two\nlines", "\"two\nlines\""), ("cr\r", "\"cr\r\""), ("ü", "ü"), ("ü,", "\"ü,\""),
    ]) func csvFields(_ value: String, _ expected: String) {
        var value = value
        let written = text { buffer in
            value.withUTF8 { _ = buffer.appendCSVField(ByteView(UnsafeRawBufferPointer($0))) }
        }
        #expect(written == expected)
    }

    @Test func eventStart() {
        let written = text { $0.appendEventStart(ts: 1_760_000_000_000_001_500, pid: 42) }
        #expect(written == "{\"ts\":1760000000000001.500,\"pid\":42,")
    }

    private func appendJSON(_ value: String, to buffer: inout RawBuffer) {
        var value = value
        value.withUTF8 { _ = buffer.appendJSONString(ByteView(UnsafeRawBufferPointer($0))) }
    }

    /// No frame of a plain stack is cut or escaped. A stack of letters is plain.
    @Test func plainStacks() {
        func isPlain(_ stack: [UInt8]) -> Bool {
            stack.withUnsafeBytes { RawBuffer.isPlainStack(ByteView($0)) }
        }
        func isUnchanged(_ stack: [UInt8]) -> Bool {
            stack.split(separator: 0x0A).allSatisfy { frame in
                frame.allSatisfy { $0 >= 0x20 && $0 < 0x80 && !"\"\\|".utf8.contains($0) }
            }
        }
        var random = SeededGenerator(seed: 3)
        for length in 8...64 {
            let letters = (0..<length).map { $0 % 7 == 6 ? UInt8(0x0A) : UInt8(ascii: "a") }
            #expect(isPlain(letters))
            for position in letters.indices {
                for byte in UInt8.min...UInt8.max {
                    var stack = letters
                    stack[position] = byte
                    if position > 0, random.next() % 2 == 0 { stack[position - 1] = 0x0A }
                    #expect(isPlain(stack) == isUnchanged(stack))
                }
            }
        }
        #expect(!isPlain([UInt8](repeating: 0x61, count: Limits.nameBytesMax + 1)))
    }

    private func text(_ body: (inout RawBuffer) -> Void) -> String {
        var buffer = RawBuffer(capacity: 1)
        body(&buffer)
        return String(decoding: buffer.bytes, as: UTF8.self)
    }

    /// Parses a CSV field according to RFC 4180, independently of the writer.
    private func unquoted(_ field: String) -> [UInt8] {
        let bytes = Array(field.utf8)
        guard bytes.first == 0x22 else { return bytes }
        var result: [UInt8] = []
        var index = 1
        while index < bytes.count - 1 {
            result.append(bytes[index])
            index += bytes[index] == 0x22 ? 2 : 1
        }
        return result
    }
}
