import Glibc
package import SystemIO
package import TraceModel

/// Address of an HTTP server: `127.0.0.1:9091`, `[::1]:9091`, `localhost:9091`, or a Unix socket,
/// `unix:run/metrics.sock`. Port 0 chooses a free port.
package struct ServingAddress: Sendable, Equatable, CustomStringConvertible {
    /// Of a Unix socket, its path.
    package let host: String
    /// 0 for a Unix socket.
    package let port: UInt16
    private let isLocal: Bool

    /// Parses an address. Names other than `localhost` are not resolved: the address must not depend on a resolver.
    /// - Throws: `TraceError(.invalidArgument)` if the text is not an address and a port.
    package init(_ text: String) throws(TraceError) {
        if text.hasPrefix(ListeningSocket.localScheme) {
            self.init(
                host: String(text.dropFirst(ListeningSocket.localScheme.count)),
                port: 0,
                isLocal: true
            )
            return
        }
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
        self.init(host: host, port: port, isLocal: false)
    }

    private init(host: String, port: UInt16, isLocal: Bool) {
        self.host = host
        self.port = port
        self.isLocal = isLocal
    }

    /// Returns the address with another port.
    package func with(port: UInt16) -> ServingAddress {
        ServingAddress(host: host, port: port, isLocal: isLocal)
    }

    /// Listens on the address, which the option `option` has named.
    /// - Throws: `TraceError(.configuration)` if the address is not available.
    package func listen(_ option: String) throws(TraceError) -> ListeningSocket {
        guard isLocal || isNumeric else {
            throw TraceError(.configuration, "not an address: \(self)")
        }
        do throws(SystemError) {
            guard let socket = try ListeningSocket.bind(description).first else {
                throw SystemError(errno: EADDRNOTAVAIL, call: "bind", subject: description)
            }
            return socket
        } catch {
            throw TraceError(
                .configuration,
                "the pages can't be served at \(self)",
                remedy: error.isAddressTaken
                    ? PortHolder.remedy(port: port, option: option)
                    : "Name an address of this machine by \(option)",
                cause: error
            )
        }
    }

    package var isIPv6: Bool { !isLocal && host.contains(":") }

    private var isNumeric: Bool {
        unsafe withUnsafeTemporaryAllocation(of: in6_addr.self, capacity: 1) {
            unsafe inet_pton(isIPv6 ? AF_INET6 : AF_INET, host, $0.baseAddress) == 1
        }
    }

    package var description: String {
        if isLocal { return ListeningSocket.localScheme + host }
        return isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
