internal import Glibc
internal import Synchronization
internal import SystemIO

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

/// The connections that were given to the core, by descriptor. The core calls the other side of such
/// a connection `fd:17`, and does not say when it closes one.
///
/// Descriptors go round: a number comes back only after all the others, so that a call that outlives
/// its connection for a while does not find somebody else's address.
final class PeerTable: Sendable {
    private struct Entry {
        let peer: String
        /// Of the socket: another number there means that the core has closed it.
        let inode: UInt
        /// When it was seen to be closed, monotonic nanoseconds.
        var closed: Int64?
    }

    private struct State {
        var entries: [Int32: Entry] = [:]
        var open = 0
        var cursor: Int32
    }

    /// Descriptors below are for log files and the like; where the process may have few, a quarter of them.
    private static let first: Int32 = 1_024
    /// How long a closed connection's address is kept for calls still on their way.
    private static let keptNanoseconds: Int64 = 60_000_000_000

    /// The numbers in use.
    private let numbers: Range<Int32>
    private let meters: SocketMeters
    private let state: Mutex<State>

    /// For a process that may have `descriptors` open.
    init(_ meters: SocketMeters, descriptors: UInt) {
        numbers = Self.numbers(descriptors: descriptors)
        state = Mutex(State(cursor: numbers.lowerBound))
        self.meters = meters
    }

    /// The numbers that connections may have, of so many descriptors. There is one for each connection that is open, those
    /// that only say hello yet included, as long as no more are accepted than there are numbers.
    static func numbers(descriptors: UInt) -> Range<Int32> {
        let end = max(Int32(clamping: descriptors), 2)
        return min(first, max(end / 4, 1))..<end
    }

    /// Gives the connection a number of its own, which replaces its old one, notes its address, and has
    /// it metered. Nil, and the connection is closed: there is no number left.
    func adopt(_ connection: ListeningSocket.Connection) -> Int32? {
        defer { close(connection.descriptor) }
        return state.withLock { state in
            let number = renumber(connection.descriptor, &state)
            guard let number else { return nil }
            guard let inode = Self.inode(of: number), meters.begin(number) else {
                close(number)
                return nil
            }
            if let old = state.entries[number], old.closed == nil { state.open -= 1 }
            state.entries[number] = Entry(peer: connection.peer, inode: inode)
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

    /// The address of the other side; nil for a connection not known.
    func peer(of descriptor: Int32) -> String? { state.withLock { $0.entries[descriptor]?.peer } }

    /// Connections that the core has not closed yet. O(connections): looks at each.
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

    /// Open connections, as of the last look at them.
    var knownCount: Int { state.withLock { $0.open } }

    /// The open connections as they could give way. O(connections).
    func candidates(now: Int64) -> [IdleConnections.Candidate] {
        state.withLock { state in
            state.entries.compactMap { number, entry in
                guard entry.closed == nil, let seen = meters.look(at: number, now: now) else { return nil }
                return IdleConnections.Candidate(
                    descriptor: number, host: PeerAddress.host(of: entry.peer), lastActive: seen.lastActive,
                    hasCalls: seen.openCalls > 0)
            }
        }
    }

    /// What is known of all open connections. O(connections).
    func look(now: Int64) -> [MeteredConnection] {
        state.withLock { state in
            state.entries.compactMap { number, entry in entry.closed == nil ? meters.look(at: number, now: now) : nil }
        }
    }

    /// Ends the connection, unless the core has closed it: to the core it looks as if its client had.
    /// False where it has.
    func end(_ descriptor: Int32) -> Bool {
        state.withLock { state in
            // Under the lock nobody gets that number meanwhile.
            guard let entry = state.entries[descriptor], Self.inode(of: descriptor) == entry.inode else { return false }
            return shutdown(descriptor, Int32(SHUT_RDWR)) == 0
        }
    }

    /// Nothing of the connections is metered any more.
    func endMetering() { state.withLock { state in for number in state.entries.keys { meters.end(number) } } }

    private static func inode(of descriptor: Int32) -> UInt? {
        var info = stat()
        guard unsafe fstat(descriptor, &info) == 0 else { return nil }
        return UInt(info.st_ino)
    }
}
