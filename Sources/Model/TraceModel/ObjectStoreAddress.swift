/// A bucket and a prefix of keys in it, as users write them: `s3://bucket/prefix`.
package struct ObjectStoreAddress: Sendable, Equatable, CustomStringConvertible {
    package let bucket: String
    /// Empty, or without a slash at either end.
    package let prefix: String

    /// Parses an address; nil if it is none. A prefix consists of letters, digits, `-`, `_`, `.` and single slashes, so
    /// that keys need no escaping in any tool.
    package init?(_ text: String) {
        let scheme = "s3://"
        guard text.hasPrefix(scheme) else { return nil }
        let parts = text.dropFirst(scheme.count).split(
            separator: "/",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        let bucket = String(parts[0])
        let rest = parts.count == 2 ? parts[1] : ""
        let prefix = rest.hasSuffix("/") ? rest.dropLast() : rest
        guard (3...63).contains(bucket.utf8.count),
            bucket.utf8.allSatisfy({ Self.isPlain($0) && !(0x41...0x5A).contains($0) })
        else { return nil }
        let names = prefix.split(separator: "/", omittingEmptySubsequences: false)
        guard prefix.utf8.count <= 256,
            prefix.isEmpty || names.allSatisfy(Self.isName)
        else { return nil }
        self.bucket = bucket
        self.prefix = String(prefix)
    }

    package var description: String {
        prefix.isEmpty ? "s3://\(bucket)" : "s3://\(bucket)/\(prefix)"
    }

    /// Returns the whole key of an object by its name below the prefix.
    package func key(_ name: String) -> String { prefix.isEmpty ? name : "\(prefix)/\(name)" }

    /// Whether a text can stand between two slashes of a key.
    package static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.count <= 64 && text.utf8.allSatisfy(isPlain)
            && text != "." && text != ".."
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: false
        }
    }
}
