import TraceModel

/// A TCP address as people write it: `127.0.0.1:9091`, `[::1]:9091`, `collector:50051`.
package struct HostPort: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

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
        self.host = String(host)
        self.port = port
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
