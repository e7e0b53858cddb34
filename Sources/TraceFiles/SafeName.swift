import TraceModel

/// A host's name as part of a file name.
enum SafeName {
    private static let lengthMax = 100

    /// Letters, digits, `.`, `-` and `_` stay; where anything else had to go, a hash of the whole name
    /// follows, so that two hosts never share a file.
    static func of(_ name: String) -> String {
        var copy = name
        let hash = copy.withUTF8 { Slot.hash(host: UnsafeRawBufferPointer($0)) }
        let kept = name.utf8.prefix(lengthMax).map { isSafe($0) ? $0 : UInt8(ascii: "_") }
        let text = String(decoding: kept, as: UTF8.self)
        if text == name && !name.isEmpty { return text }
        let digits = String(hash, radix: 16)
        return text + "-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    static func isSafe(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
