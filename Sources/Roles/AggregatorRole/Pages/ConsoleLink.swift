import HTTPServing
import SystemIO
import TraceModel

/// What the aggregator knows of the console, which sends it no messages.
struct ConsoleState: Sendable, Equatable {
    let address: ServingAddress
    /// Nil while the console is down.
    let pid: UInt32?

    /// Finds out whether the console of this data directory runs: it holds the lock on its file as long as it lives.
    /// Blocks.
    static func current(at address: ServingAddress) -> ConsoleState {
        guard FileSystem.exists(ClusterPaths.consoleLock),
            let file = try? File(ClusterPaths.consoleLock, .read)
        else { return ConsoleState(address: address, pid: nil) }
        return ConsoleState(address: address, pid: LockHolder.find(of: file).map(UInt32.init))
    }
}

/// What the aggregator knows of HAProxy and the process that runs it, which send it no messages.
struct EdgeState: Sendable, Equatable {
    /// Nil while the process is down.
    let pid: UInt32?

    /// Finds out whether the edge of this data directory runs: it holds the lock on its file as long as it lives. Blocks.
    static func current() -> EdgeState {
        guard FileSystem.exists(ClusterPaths.edgeLock),
            let file = try? File(ClusterPaths.edgeLock, .read)
        else { return EdgeState(pid: nil) }
        return EdgeState(pid: LockHolder.find(of: file).map(UInt32.init))
    }
}

/// Where the aggregator's first page sends browsers.
enum ConsoleLink {
    /// Returns the console's URL for a client that has reached the aggregator by `authority`, the name and port in its
    /// request. Nil where the client cannot reach the console: that listens on the loopback interface, and the client
    /// has come by another name. `isSecure`: the client has come by TLS, which the console then speaks too.
    static func url(
        _ console: ServingAddress,
        from authority: String?,
        isSecure: Bool = false
    ) -> String? {
        let name = authority.flatMap(host)
        let scheme = isSecure ? "https" : "http"
        switch console.host {
        case "0.0.0.0", "::": return name.map { "\(scheme)://\($0):\(console.port)/" }
        case let host where isLoopback(host):
            guard let name, isLoopback(name) else { return nil }
            return "\(scheme)://\(console)/"
        default: return "\(scheme)://\(console)/"
        }
    }

    /// Returns the name in front of the port; nil if it has characters that no name or address has.
    private static func host(_ authority: String) -> String? {
        var host = authority[...]
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") { host = host[..<colon] }
        let isPlain = host.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-._:[]".utf8.contains($0)
            }
        }
        return host.isEmpty || !isPlain ? nil : String(host)
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || host == "[::1]" || host.hasPrefix("127.")
    }
}
