/// The servers of a replicated log, as the operator names them:
/// `nats://[USER:PASSWORD@]HOST[:PORT][?monitor=PORT]`, separated by commas; the scheme of the first one may stand for all.
package struct ReplicaAddresses: Equatable, Sendable, CustomStringConvertible {
    /// One of the servers.
    package struct Server: Equatable, Sendable {
        /// With scheme and port.
        package let url: String
        /// Where the server reports its version and settings.
        package let monitor: HostPort
    }

    /// How many servers there have to be.
    package static let countMin = 3
    fileprivate static let portDefault = "4222"
    fileprivate static let monitorDefault = "8222"

    package let list: [Server]
    package let description: String

    /// Parses the addresses; nil if one is malformed, or there are too few.
    package init?(_ text: String) {
        guard !text.contains(where: { $0.isWhitespace || $0 == "\"" || $0 == "'" }) else {
            return nil
        }
        var servers: [Server] = []
        var scheme = ""
        for entry in text.split(separator: ",", omittingEmptySubsequences: false) {
            var rest = entry
            if let colon = rest.firstRange(of: "://") {
                scheme = String(rest[..<colon.lowerBound])
                rest = rest[colon.upperBound...]
            }
            guard scheme == "nats" || scheme == "tls", let server = Server(rest, scheme: scheme)
            else { return nil }
            servers.append(server)
        }
        guard servers.count >= Self.countMin else { return nil }
        list = servers
        description = text
    }
}

extension ReplicaAddresses.Server {
    /// Parses an address without its scheme.
    fileprivate init?(_ text: Substring, scheme: String) {
        var rest = text
        var monitor = ReplicaAddresses.monitorDefault[...]
        if let query = rest.firstRange(of: "?monitor=") {
            monitor = rest[query.upperBound...]
            rest = rest[..<query.lowerBound]
        }
        var user = ""[...]
        if let at = rest.lastIndex(of: "@") {
            user = rest[...at]
            rest = rest[rest.index(after: at)...]
        }
        let named = HostPort(String(rest)) ?? HostPort("\(rest):\(ReplicaAddresses.portDefault)")
        guard let named, !named.host.contains("/"), !named.host.contains("?"),
            let port = UInt16(monitor), port > 0
        else { return nil }
        let host = named.host.contains(":") ? "[\(named.host)]" : named.host
        guard let address = HostPort("\(host):\(port)") else { return nil }
        self.init(url: "\(scheme)://\(user)\(named)", monitor: address)
    }
}
