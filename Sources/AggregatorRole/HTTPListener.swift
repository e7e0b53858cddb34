import FlyingSocks
import Foundation
import Glibc
import Logging
import TraceModel

/// A small HTTP/1.1 server over FlyingSocks' sockets. FlyingFox' own server reads a head of any
/// length for any time; this one bounds head, time, and the number of connections.
struct HTTPListener: Sendable {
    typealias Respond = @Sendable (HTTPRequest) async -> HTTPReply

    private let asked: MetricsAddress
    private let socket: Socket
    private let pool: any AsyncSocketPool
    private let log: Logger

    /// Binds and listens. Throws `.configuration` where the address is not to be had.
    init(_ address: MetricsAddress, log: Logger) throws {
        self.log = log
        asked = address
        pool = SocketPool(queue: ePoll(maxEvents: Limits.httpConnectionsMax))
        do {
            if address.isIPv6 {
                socket = try Socket(domain: AF_INET6)
                try Self.listen(socket, .inet6(ip6: address.host, port: address.port))
            } else {
                socket = try Socket(domain: AF_INET)
                try Self.listen(socket, .inet(ip4: address.host, port: address.port))
            }
        } catch let SocketError.failed(_, errno, message) {
            throw TraceError(
                .configuration,
                "the pages can't be served at \(address): \(message)",
                remedy: errno == EADDRINUSE
                    ? "Another program listens there: end it or choose another port by --metrics"
                    : "Name an address of this machine by --metrics"
            )
        } catch {
            throw TraceError(.configuration, "not an address: \(address)", cause: error)
        }
    }

    private static func listen(_ socket: Socket, _ address: some SocketAddress) throws {
        // Only against addresses left over by closed connections; a second listener is refused.
        try socket.setValue(true, for: .localAddressReuse)
        try socket.bind(to: address)
        try socket.listen()
    }

    /// Where it listens: the address asked for, with the free port found for 0.
    var address: MetricsAddress {
        switch try? socket.sockname() {
        case .ip4(_, let port), .ip6(_, let port): asked.with(port: port)
        case .unix, nil: asked
        }
    }

    /// Serves until the task is cancelled.
    func run(_ respond: @escaping Respond) async {
        do {
            try await pool.prepare()
            let listening = try AsyncSocket(socket: socket, pool: pool)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                group.addTask { try await accept(on: listening, respond) }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            if !Task.isCancelled { log.error("http ended", metadata: ["why": "\(error)"]) }
        }
        try? socket.close()
    }

    /// Beyond `httpConnectionsMax` connections, new ones wait in the kernel's backlog.
    private func accept(on listening: AsyncSocket, _ respond: @escaping Respond) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var open = 0
            while !Task.isCancelled {
                if open >= Limits.httpConnectionsMax {
                    try await group.next()
                    open -= 1
                }
                let connection = try await listening.accept()
                open += 1
                group.addTask { await HTTPConnection(connection).serve(respond) }
            }
        }
    }
}
