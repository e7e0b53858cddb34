internal import Glibc
internal import Synchronization
internal import SystemIO

/// Parses the core's notation for a connection's remote address.
package enum PeerAddress {
    /// Returns whether the connection uses a Unix socket.
    package static func isLocalSocket(_ peer: String) -> Bool { peer.hasPrefix("unix") }

    /// Returns the address without scheme and port: `127.0.0.1`, `::1`; empty for a Unix socket.
    package static func host(of peer: String) -> String {
        guard !isLocalSocket(peer), let colon = peer.firstIndex(of: ":") else { return "" }
        var rest = peer[peer.index(after: colon)...]
        if let port = rest.lastIndex(of: ":") { rest = rest[..<port] }
        return String(rest.drop { $0 == "[" }.prefix { $0 != "]" })
    }

    /// Decodes percent-encoding such as `%5B`.
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

/// The connections that were passed to the core, by descriptor. The core reports the address of such a connection as
/// `fd:17`, and does not say when it closes one.
///
/// Descriptor numbers are reused only after all others were used, so that a call which briefly outlives its connection
/// does not report another client's address.
final class PeerTable: Sendable {
    /// A connection that was passed to the core.
    private struct Entry {
        let peer: String
        let certificateName: String?
        /// Whether a proxy named the client.
        let isProxied: Bool
        /// Inode of the socket. Another inode under the same descriptor means that the core has closed it.
        let inode: UInt
        /// When the close was detected (monotonic ns).
        var closed: Int64?
    }

    /// The entries, and the position from which the next descriptor is searched.
    private struct State {
        var entries: [Int32: Entry] = [:]
        var open = 0
        var cursor: Int32
    }

    /// First descriptor for connections, as lower ones are used for log files and the like; a quarter of the range if
    /// that is small.
    private static let first: Int32 = 1_024
    /// How long the address of a closed connection is kept for calls still in flight.
    private static let keptNanoseconds: Int64 = 60_000_000_000

    /// Descriptor numbers for connections.
    private let numbers: Range<Int32>
    private let meters: SocketMeters
    private let state: Mutex<State>

    /// Creates a table for a process that may open `descriptors` descriptors.
    init(_ meters: SocketMeters, descriptors: UInt) {
        numbers = Self.numbers(descriptors: descriptors)
        state = Mutex(State(cursor: numbers.lowerBound))
        self.meters = meters
    }

    /// Returns the descriptor numbers for connections out of `descriptors`. Pending connections need one each too, so
    /// the acceptor accepts no more connections than there are numbers.
    static func numbers(descriptors: UInt) -> Range<Int32> {
        let end = max(Int32(clamping: descriptors), 2)
        return min(first, max(end / 4, 1))..<end
    }

    /// Moves the connection to a new descriptor number, records its address and starts metering it. Returns nil, with
    /// the connection closed, if no number is free.
    func adopt(
        _ connection: ListeningSocket.Connection,
        certificateName: String? = nil,
        isProxied: Bool = false
    ) -> Int32? {
        defer { close(connection.descriptor) }
        return state.withLock { state in
            let number = renumber(connection.descriptor, &state)
            guard let number else { return nil }
            guard let inode = Self.inode(of: number), meters.begin(number) else {
                close(number)
                return nil
            }
            if let old = state.entries[number], old.closed == nil { state.open -= 1 }
            state.entries[number] = Entry(
                peer: connection.peer,
                certificateName: certificateName,
                isProxied: isProxied,
                inode: inode
            )
            state.open += 1
            return number
        }
    }

    private func renumber(_ descriptor: Int32, _ state: inout State) -> Int32? {
        for start in [state.cursor, numbers.lowerBound] where start < numbers.upperBound {
            let number = fcntl(descriptor, F_DUPFD_CLOEXEC, start)
            guard number >= 0 else { continue }
            state.cursor = number + 1
            return number
        }
        return nil
    }

    /// Returns the client's address; nil for an unknown connection.
    func peer(of descriptor: Int32) -> String? { state.withLock { $0.entries[descriptor]?.peer } }

    /// Returns the common name of the client's certificate, as a trusted proxy has verified it; nil if there is none.
    func certificateName(of descriptor: Int32) -> String? {
        state.withLock { $0.entries[descriptor]?.certificateName }
    }

    /// Counts the connections that the core has not closed. O(connections), with a system call for each.
    func openCount(now: Int64) -> Int {
        state.withLock { state in
            for (number, entry) in state.entries {
                if let closed = entry.closed {
                    if closed + Self.keptNanoseconds < now { state.entries[number] = nil }
                } else if Self.inode(of: number) != entry.inode {
                    state.entries[number]?.closed = now
                    state.open -= 1
                    meters.end(number)
                }
            }
            return state.open
        }
    }

    /// Number of open connections as of the last `openCount`.
    var knownCount: Int { state.withLock { $0.open } }

    /// Returns the open connections as candidates for `IdleConnections.choose`. O(connections).
    func candidates(now: Int64) -> [IdleConnections.Candidate] {
        state.withLock { state in
            state.entries.compactMap { number, entry in
                guard entry.closed == nil, let seen = meters.inspect(number, now: now) else {
                    return nil
                }
                return IdleConnections.Candidate(
                    descriptor: number,
                    host: PeerAddress.host(of: entry.peer),
                    lastActive: seen.lastActive,
                    hasCalls: seen.openCalls > 0
                )
            }
        }
    }

    /// Returns the meters' view of all open connections. O(connections).
    func inspectAll(now: Int64) -> [MeteredConnection] {
        state.withLock { state in
            state.entries.compactMap { number, entry in
                entry.closed == nil ? meters.inspect(number, now: now) : nil
            }
        }
    }

    /// Shuts the connection down, which the core sees as a disconnect by the client. Returns false if the core has
    /// closed it already.
    func end(_ descriptor: Int32) -> Bool {
        state.withLock { state in
            // Under the lock the descriptor cannot be reused meanwhile.
            guard let entry = state.entries[descriptor], Self.inode(of: descriptor) == entry.inode
            else { return false }
            return shutdown(descriptor, Int32(SHUT_RDWR)) == 0
        }
    }

    /// Whether connections of proxies were open at the last `openCount`.
    var hasProxied: Bool {
        state.withLock { $0.entries.values.contains { $0.isProxied && $0.closed == nil } }
    }

    /// Shuts down connections of proxies that have no calls, and on which nothing has come or gone for so long.
    func endProxied(quietFor nanoseconds: Int64, now: Int64) {
        state.withLock { state in
            for (number, entry) in state.entries where entry.isProxied && entry.closed == nil {
                guard let seen = meters.inspect(number, now: now), seen.openCalls == 0,
                    now - seen.lastActive >= nanoseconds, Self.inode(of: number) == entry.inode
                else { continue }
                shutdown(number, Int32(SHUT_RDWR))
            }
        }
    }

    /// The connections that were open at the last `openCount`.
    var openDescriptors: Set<Int32> {
        state.withLock { state in Set(state.entries.filter { $0.value.closed == nil }.keys) }
    }

    /// Sends a GOAWAY on the given connections, which asks clients to make their next calls on others. Returns those that
    /// are still open and where it was not possible now, because a frame of the core was under way.
    func sendAway(_ descriptors: Set<Int32>) -> Set<Int32> {
        state.withLock { state in
            descriptors.filter { descriptor in
                guard let entry = state.entries[descriptor], entry.closed == nil,
                    Self.inode(of: descriptor) == entry.inode
                else { return false }
                return !meters.sendAway(descriptor)
            }
        }
    }

    /// Stops metering all connections.
    func endMetering() {
        state.withLock { state in for number in state.entries.keys { meters.end(number) } }
    }

    private static func inode(of descriptor: Int32) -> UInt? {
        var info = stat()
        guard unsafe fstat(descriptor, &info) == 0 else { return nil }
        return UInt(info.st_ino)
    }
}
