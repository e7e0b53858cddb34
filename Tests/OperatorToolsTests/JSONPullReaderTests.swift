import OperatorTools
import Testing

struct JSONPullReaderTests {
    private func text(of json: String, piece: Int) throws -> String {
        let reader = JSONPullReader(BytesInPieces(json, piece: piece))
        #expect(try reader.readText())
        return String(decoding: reader.text, as: UTF8.self)
    }

    @Test(arguments: [1, 2, 3, 1000]) func escapes(piece: Int) throws {
        #expect(try text(of: #""a\"\\\/\b\f\n\r\tz""#, piece: piece) == "a\"\\/\u{8}\u{C}\n\r\tz")
        #expect(try text(of: #""\u00e9\u20AC\uD83D\uDE00é""#, piece: piece) == "é€😀é")
    }

    /// Half a pair becomes U+FFFD, and what stands behind it stays.
    @Test func loneSurrogates() throws {
        #expect(try text(of: #""\uD83Dx""#, piece: 1) == "\u{FFFD}x")
        #expect(try text(of: #""\uD83D\n""#, piece: 1) == "\u{FFFD}\n")
        #expect(try text(of: #""\uD83D\u0041""#, piece: 1) == "\u{FFFD}A")
        #expect(try text(of: #""\uD83D\uD83D\uDE00""#, piece: 1) == "\u{FFFD}😀")
        #expect(try text(of: #""\uDE00""#, piece: 1) == "\u{FFFD}")
    }

    @Test func skipsWholeValues() throws {
        let json = #"{"a": {"x]": [1, {"b": "}\"]"}], "y": null}, "n": -1.5e3 , "t":true}"#
        let reader = JSONPullReader(BytesInPieces(json))
        try reader.enterObject()
        var keys: [String] = []
        while try reader.nextKey() {
            keys.append(String(decoding: reader.text, as: UTF8.self))
            if keys.last == "n" {
                #expect(try reader.readText())
                #expect(String(decoding: reader.text, as: UTF8.self) == "-1.5e3")
            } else {
                try reader.skipValue()
            }
        }
        #expect(keys == ["a", "n", "t"])
    }

    @Test(arguments: [
        ("[1 2]", JSONReadFailure.syntax(offset: 3, expected: ", or ]")),
        ("[1", JSONReadFailure.endOfInput),
        ("[oops]", JSONReadFailure.syntax(offset: 1, expected: "a value")),
        ("[1, }", JSONReadFailure.syntax(offset: 4, expected: "a value")),
        ("[1, nullx]", JSONReadFailure.syntax(offset: 4, expected: "a value")),
        (#"["\q"]"#, JSONReadFailure.syntax(offset: 3, expected: "an escape")),
        (#"["\u12x4"]"#, JSONReadFailure.syntax(offset: 6, expected: "a hexadecimal digit")),
    ]) func errorsNameTheByte(json: String, expected: JSONReadFailure) {
        let reader = JSONPullReader(BytesInPieces(json))
        let failure = #expect(throws: JSONReadFailure.self) {
            try reader.enterArray()
            while try reader.nextElement() { _ = try reader.readText() }
        }
        #expect(failure == expected)
    }
}
