internal import Glibc
internal import Synchronization
internal import SystemIO

/// Accepts a server's connections on its own thread. Passes each connection to the C core once the client has
/// started to speak HTTP/2. In front of that, a trusted proxy may say who its client is (`ProxyHeader`).
///
/// The core can listen by itself, but not on an inherited socket. Only an inherited socket outlives this process,
/// so that clients which connect during a restart wait in its queue.
///
/// At most `connectionsMax` connections are open; further ones wait unaccepted. A connection whose client sends
/// nothing is closed after `handshakeSeconds`, or after one second while the server is at `connectionsMax`.
final class ConnectionAcceptor: Sendable {
    /// A connection whose client has not sent its HTTP/2 greeting yet.
    private struct Pending {
        /// Its peer is the proxy's client once the proxy has named that.
        var connection: ListeningSocket.Connection
        var certificateName: String?
        /// Whether a proxy's header came.
        var isProxied = false
        /// Whether a proxy's header may still come.
        var mayNameClient: Bool
        let deadline: Int64
    }

    /// `PRI * HTTP/2.0…`, then the header of a SETTINGS frame (RFC 9113, 3.4).
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let greetingBytes = preface.count + 9
    /// Time that a pending connection has left for its greeting once the server stops accepting.
    private static let lastGreetingNanoseconds: Int64 = 1_000_000_000
    /// `POLLRDHUP` of poll(2), which Swift's Glibc leaves out.
    private static let hangUp: Int16 = 0x2000
    /// How long a silent client keeps its connection while the server is at `connectionsMax`.
    private static let silentNanoseconds: Int64 = 1_000_000_000
    /// Poll interval while the server is at `connectionsMax`.
    private static let fullMilliseconds: Int32 = 100

    private let sockets: [ListeningSocket]
    private let peers: PeerTable
    private let configuration: GRPCServerConfiguration
    private let adopt: @Sendable (Int32) -> Void
    private let endedSilent: @Sendable () -> Void
    private let wakeup: Wakeup
    private let isStopping = Atomic<Bool>(false)
    private let full = Atomic<Bool>(false)
    private let thread = Mutex<DedicatedThread?>(nil)

    /// Prepares accepting; `start` begins it. `adopt` takes ownership of a connection's descriptor. `endedSilent` is
    /// called for each silent connection that was closed to make room for others. Both run on the acceptor's thread.
    init(
        sockets: [ListeningSocket],
        peers: PeerTable,
        configuration: GRPCServerConfiguration,
        adopt: @escaping @Sendable (Int32) -> Void,
        endedSilent: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        self.sockets = sockets
        self.peers = peers
        self.configuration = configuration
        self.adopt = adopt
        self.endedSilent = endedSilent
        wakeup = try Wakeup()
    }

    /// Starts the thread.
    func start() { thread.withLock { $0 = DedicatedThread("accept") { [self] in run() } } }

    /// Stops accepting and returns once every accepted connection has been passed to the core, or closed because its
    /// client is silent. Blocks.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.signal()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    /// Returns whether the server was at `connectionsMax` at any moment since the previous call.
    func takeFull() -> Bool { full.exchange(false, ordering: .relaxed) }

    // MARK: The thread

    private func run() {
        var pending: [Pending] = []
        var lastDeadline: Int64?
        var isFull = false
        defer { for entry in pending { close(entry.connection.descriptor) } }
        while true {
            var polled = [pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)]
            if lastDeadline == nil, !isFull {
                polled += sockets.map {
                    pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0)
                }
            }
            polled += pending.map {
                pollfd(
                    fd: $0.connection.descriptor,
                    events: Int16(POLLIN) | Self.hangUp,
                    revents: 0
                )
            }
            let limit: Int32 = isFull ? Self.fullMilliseconds : pending.isEmpty ? -1 : 250
            _ = unsafe poll(&polled, nfds_t(polled.count), limit)
            wakeup.clear()
            let now = WallClock.monotonic()
            if lastDeadline == nil, isStopping.load(ordering: .acquiring) {
                lastDeadline = now + Self.lastGreetingNanoseconds
            }
            if lastDeadline == nil {
                isFull = !acceptWaiting(into: &pending, now: now)
                if isFull {
                    full.store(true, ordering: .relaxed)
                    endSilent(&pending, now: now)
                }
            }
            for index in pending.indices.reversed()
            where settle(&pending[index], now: now, before: lastDeadline) {
                pending.remove(at: index)
            }
            if let lastDeadline, pending.isEmpty || now >= lastDeadline { return }
        }
    }

    /// Accepts the waiting connections. Returns false if there is no room for more.
    private func acceptWaiting(into pending: inout [Pending], now: Int64) -> Bool {
        var open = peers.knownCount + pending.count
        // Counting exactly costs a system call for each connection, so it happens only near the limit.
        if open >= configuration.connectionsMax { open = peers.openCount(now: now) + pending.count }
        let deadline = now + Int64(configuration.handshakeSeconds * 1e9)
        for socket in sockets {
            while true {
                guard open < configuration.connectionsMax else { return false }
                do throws(SystemError) {
                    guard let connection = try socket.accept() else { break }
                    prepare(connection.descriptor)
                    pending.append(
                        Pending(
                            connection: connection,
                            mayNameClient: isProxy(connection.peer),
                            deadline: deadline
                        )
                    )
                    open += 1
                } catch { return false }
            }
        }
        return true
    }

    /// Closes the pending connections that have been silent for more than `silentNanoseconds`.
    private func endSilent(_ pending: inout [Pending], now: Int64) {
        let accepted = now + Int64(configuration.handshakeSeconds * 1e9) - Self.silentNanoseconds
        let silent = pending.prefix { $0.deadline <= accepted }
        for entry in silent {
            close(entry.connection.descriptor)
            endedSilent()
        }
        pending.removeFirst(silent.count)
    }

    /// Returns whether the peer is a proxy that may say who its client is.
    private func isProxy(_ peer: String) -> Bool {
        if PeerAddress.isLocalSocket(peer) { return true }
        guard !configuration.proxies.isEmpty else { return false }
        let host = PeerAddress.host(of: peer)
        return configuration.proxies.contains { $0.contains(host) }
    }

    /// Sets the socket options that the core sets on connections which it accepts itself.
    private func prepare(_ descriptor: Int32) {
        let options: [(level: Int32, name: Int32, value: Int32)] = [
            (Int32(IPPROTO_TCP), TCP_NODELAY, 1),
            (
                Int32(IPPROTO_TCP), TCP_USER_TIMEOUT,
                Int32(configuration.keepaliveTimeoutSeconds * 1_000)
            ),
            // The socket becomes readable only once the whole greeting is there.
            (SOL_SOCKET, SO_RCVLOWAT, Int32(Self.greetingBytes)),
        ]
        for option in options {
            // It fails only for a Unix socket, which has none of the first two, and for a connection that is already
            // closed, which `greeting(of:)` detects.
            try? ListeningSocket.setOption(option.level, option.name, option.value, of: descriptor)
        }
    }

    /// Passes the connection to the core or closes it where its greeting decides that. Returns false while it remains
    /// pending.
    private func settle(_ entry: inout Pending, now: Int64, before lastDeadline: Int64?) -> Bool {
        let state =
            entry.mayNameClient
            ? greetingOfProxy(&entry) : greeting(of: entry.connection.descriptor)
        switch state {
        case .complete:
            try? ListeningSocket.setOption(
                SOL_SOCKET,
                SO_RCVLOWAT,
                1,
                of: entry.connection.descriptor
            )
            if let number = peers.adopt(
                entry.connection,
                certificateName: entry.certificateName,
                isProxied: entry.isProxied
            ) {
                adopt(number)
            }
            return true
        case .partial where now < min(entry.deadline, lastDeadline ?? .max): return false
        case .partial, .wrong:
            close(entry.connection.descriptor)
            return true
        }
    }

    /// State of a client's HTTP/2 greeting.
    private enum Greeting {
        case complete
        case partial
        /// Not HTTP/2, or closed.
        case wrong
    }

    /// Takes a proxy's header off the connection, and then reads the greeting behind it.
    private func greetingOfProxy(_ entry: inout Pending) -> Greeting {
        let descriptor = entry.connection.descriptor
        var bytes = [UInt8](repeating: 0, count: ProxyHeader.countMax)
        let count = unsafe recv(
            descriptor,
            &bytes,
            bytes.count,
            Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)
        )
        if count < 0 { return errno == EAGAIN || errno == EINTR ? .partial : .wrong }
        switch ProxyHeader.parse(bytes[..<max(count, 0)]) {
        case .wrong: return .wrong
        case .partial: return count == 0 || isOver(descriptor) ? .wrong : .partial
        case .absent: break
        case .header(let header):
            _ = unsafe recv(descriptor, &bytes, header.count, Int32(MSG_DONTWAIT))
            if let peer = header.peer {
                entry.connection = ListeningSocket.Connection(descriptor: descriptor, peer: peer)
            }
            entry.certificateName = header.certificateName
            entry.isProxied = true
        }
        entry.mayNameClient = false
        return greeting(of: descriptor)
    }

    private func greeting(of descriptor: Int32) -> Greeting {
        var bytes = [UInt8](repeating: 0, count: Self.greetingBytes)
        let count = unsafe recv(
            descriptor,
            &bytes,
            bytes.count,
            Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)
        )
        if count < 0 { return errno == EAGAIN || errno == EINTR ? .partial : .wrong }
        let known = bytes.prefix(min(count, Self.preface.count))
        guard count > 0, Self.preface.starts(with: known) else { return .wrong }
        guard count == Self.greetingBytes else { return isOver(descriptor) ? .wrong : .partial }
        return bytes[Self.preface.count + 3] == 4 ? .complete : .wrong
    }

    /// Returns whether the client has closed the connection before its greeting was complete.
    private func isOver(_ descriptor: Int32) -> Bool {
        var polled = pollfd(fd: descriptor, events: Self.hangUp, revents: 0)
        return unsafe poll(&polled, 1, 0) > 0
    }
}
