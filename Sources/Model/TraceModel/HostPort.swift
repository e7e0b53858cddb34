/// A TCP address as people write it: `127.0.0.1:9091`, `[::1]:9091`, `collector:50051`.
package struct HostPort: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    /// Where trace-router listens unless told otherwise.
    package static let defaultServer = HostPort(host: "127.0.0.1", port: 50051)

    private init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Nil where a part is missing or the port is none.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]), port > 0
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return nil }
        self.init(host: String(host), port: port)
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
