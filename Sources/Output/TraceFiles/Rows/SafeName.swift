import TraceModel

/// A host's name as part of a file name. Two hosts never share one, and none reads as a window's number:
/// a window's stem may end in `_2`, `_3`…, so that what follows it must not begin so.
enum SafeName {
    private static let lengthMax = 100
    private static let digestBytes = 16

    /// Letters, digits, `.`, `-` and `_` stay. A digest of the whole name follows, 32 hexadecimal digits behind a `-`, where
    /// anything else had to go, and where what stays could be another one's: it is digits, or begins with digits and
    /// `_`, or ends as a digest does.
    static func of(_ name: String) -> String {
        let text = kept(name)
        let isPlain = text.utf8.elementsEqual(name.utf8) && !name.isEmpty
        return isPlain && !beginsAsNumber(text) && !endsAsDigest(text) ? text : "\(text)-\(digest(Array(name.utf8)))"
    }

    /// The name of this machine's own files where another host goes by its name: no host's, whatever it is called.
    static func ofThisMachine(_ name: String) -> String {
        // No name holds the byte, as it is in no UTF-8.
        "\(kept(name))-\(digest([0xFF] + name.utf8))"
    }

    private static func kept(_ name: String) -> String {
        let bytes = name.utf8.prefix(lengthMax).map { isSafe($0) ? $0 : UInt8(ascii: "_") }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func beginsAsNumber(_ text: String) -> Bool {
        let rest = text.utf8.drop { isDigit($0) }
        return rest.count < text.utf8.count && (rest.isEmpty || rest.first == UInt8(ascii: "_"))
    }

    private static func endsAsDigest(_ text: String) -> Bool {
        let ending = text.utf8.suffix(2 * digestBytes + 1)
        return ending.count == 2 * digestBytes + 1 && ending.first == UInt8(ascii: "-")
            && ending.dropFirst().allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    }

    private static func digest(_ bytes: [UInt8]) -> String {
        SHA256.digest(bytes).prefix(digestBytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    static func isSafe(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
