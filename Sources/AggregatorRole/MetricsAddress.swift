package import TraceModel

/// Where the pages are served: `127.0.0.1:9091`, `[::1]:9091`, `localhost:9091`. Port 0 takes a free one.
package struct MetricsAddress: Sendable, Equatable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    /// Throws `.invalidArgument` where the text is no address and port. Names but `localhost` are not
    /// looked up: which address is served must not depend on a resolver.
    package init(_ text: String) throws(TraceError) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else {
            throw TraceError(.invalidArgument, "not an address and port: \(text)")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        if host == "localhost" { host = "127.0.0.1" }
        guard !host.isEmpty else {
            throw TraceError(.invalidArgument, "no address in front of the port: \(text)")
        }
        self.host = host
        self.port = port
    }

    private init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    func with(port: UInt16) -> MetricsAddress { MetricsAddress(host: host, port: port) }

    package var isIPv6: Bool { host.contains(":") }

    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
