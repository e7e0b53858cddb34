/// Reads the core's names of the other side of a connection.
package enum PeerAddress {
    /// True for a connection over a Unix socket.
    package static func isLocalSocket(_ peer: String) -> Bool { peer.hasPrefix("unix") }

    /// The address without scheme and port: `127.0.0.1`, `::1`; empty for a Unix socket.
    package static func host(of peer: String) -> String {
        guard !isLocalSocket(peer), let colon = peer.firstIndex(of: ":") else { return "" }
        var rest = peer[peer.index(after: colon)...]
        if let port = rest.lastIndex(of: ":") { rest = rest[..<port] }
        return String(rest.drop { $0 == "[" }.prefix { $0 != "]" })
    }

    /// Resolves `%5B` and the like.
    static func decoded(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
