internal import TraceModel

/// Chooses the idle connections to close when the server is near `connectionsMax`.
enum IdleConnections {
    /// An open connection.
    struct Candidate: Equatable {
        let descriptor: Int32
        /// The client's address without its port.
        let host: String
        /// Time of the last byte (monotonic ns).
        let lastActive: Int64
        let hasCalls: Bool
    }

    private static let second: Int64 = 1_000_000_000
    /// Idle time after which a connection without calls may be closed.
    static let idleNanoseconds = second
    /// Idle time after which a connection with calls may be closed.
    static let silentNanoseconds = 30 * second

    /// Chooses up to `count` connections that are idle at `now`. Addresses with more than `hostMax` idle connections
    /// come first, the one with the most leading, so that one client's connections do not displace those of others;
    /// then the longest idle of all addresses.
    static func choose(
        _ count: Int,
        of candidates: [Candidate],
        hostMax: Int,
        now: Int64
    ) -> [Int32] {
        let idle = candidates.filter { candidate in
            let least = candidate.hasCalls ? silentNanoseconds : idleNanoseconds
            return now - candidate.lastActive >= least
        }
        var surplus = Dictionary(grouping: idle, by: \.host).mapValues { $0.count - hostMax }
        let oldestFirst = idle.sorted { $0.lastActive < $1.lastActive }
        var chosen: [Int32] = []
        let crowded = surplus.filter { $0.value > 0 }.sorted {
            ($1.value, $0.key) < ($0.value, $1.key)
        }
        for (host, _) in crowded {
            for candidate in oldestFirst where candidate.host == host {
                guard chosen.count < count, surplus[host, default: 0] > 0 else { break }
                surplus[host, default: 0] -= 1
                chosen.append(candidate.descriptor)
            }
        }
        let taken = Set(chosen)
        for candidate in oldestFirst where !taken.contains(candidate.descriptor) {
            guard chosen.count < count else { break }
            chosen.append(candidate.descriptor)
        }
        return chosen
    }
}

/// Decides which calls and connections to end when incomplete messages or open calls reach their memory limit. A value
/// without I/O: the meters' counts go in, actions come out.
///
/// Messages are charged by the bytes that have arrived. Small connections share one budget and large ones another, so
/// that large uploads take nothing from small calls. While a budget is exhausted, calls below `uploadBytesPerSecondMin`
/// are refused, and a few waiting connections are privileged, that is read all the same, so that a budget full of
/// incomplete messages drains.
struct ReceiveBudget {
    /// An action for the server to carry out. Connections are given by descriptor.
    enum Action: Equatable {
        case setPrivileged(Int32, Bool)
        /// Refuse all calls of the connection whose messages are incomplete.
        case refuse(Int32, GRPCRefusal)
        case close(Int32, GRPCClosing)
    }

    /// A connection observed over several decisions.
    private struct Watch {
        var since: Int64
        var dataBytes: Int
        /// When its calls were refused (monotonic ns).
        var refused: Int64?
    }

    private static let second: Int64 = 1_000_000_000
    /// Observation time before a connection's rate counts.
    private static let watchNanoseconds = 2 * second
    /// Time that a refused connection gets to free its memory; a client that reads nothing never does.
    private static let refusedNanoseconds = 3 * second

    private let configuration: GRPCServerConfiguration
    private var watches: [Int32: Watch] = [:]

    init(_ configuration: GRPCServerConfiguration) { self.configuration = configuration }

    /// Returns whether there is anything to decide, which saves inspecting all connections.
    func isNeeded(_ totals: SocketMeters.Totals) -> Bool {
        totals.pausedConnections > 0 || totals.oversizedConnections > 0
            || totals.smallBytes >= configuration.smallPartialBytesMax
            || totals.largeBytes >= configuration.largePartialBytesMax
            || totals.callBytes > configuration.callBytesMax
    }

    /// Returns the actions at `now` (monotonic ns). O(connections), plus sorting those concerned.
    mutating func decide(_ connections: [MeteredConnection], now: Int64) -> [Action] {
        var actions: [Action] = []
        var next: [Int32: Watch] = [:]
        var small: [MeteredConnection] = []
        var large: [MeteredConnection] = []
        for connection in connections {
            if connection.isOversized {
                give(connection, .tooLarge, .slowUpload, &actions, &next, now)
            } else if connection.partialBytes > configuration.smallMessageBytesMax {
                large.append(connection)
            } else if connection.partialBytes > 0 {
                small.append(connection)
            } else if connection.isPrivileged {
                actions.append(.setPrivileged(connection.descriptor, false))
            }
        }
        settle(
            small,
            in: configuration.smallPartialBytesMax,
            Limits.smallPrivilegedMax,
            &actions,
            &next,
            now
        )
        settle(large, in: configuration.largePartialBytesMax, 1, &actions, &next, now)
        endOldCalls(connections, &actions, &next, now)
        watches = next
        return actions
    }

    /// Decides for one budget of `bytesMax` bytes with at most `privileged` privileged connections.
    private func settle(
        _ members: [MeteredConnection],
        in bytesMax: Int,
        _ privileged: Int,
        _ actions: inout [Action],
        _ next: inout [Int32: Watch],
        _ now: Int64
    ) {
        var total = members.reduce(0) { $0 + $1.partialBytes }
        guard total >= bytesMax else {
            for member in members where member.isPrivileged {
                actions.append(.setPrivileged(member.descriptor, false))
            }
            return
        }
        // Largest first, so that few have to be ended.
        var staying: [MeteredConnection] = []
        for member in members.sorted(by: { $0.partialBytes > $1.partialBytes }) {
            if total >= bytesMax, isSlow(member, &next, now) {
                give(member, .slowUpload, .slowUpload, &actions, &next, now)
                total -= member.partialBytes
            } else {
                staying.append(member)
            }
        }
        var left = privileged - staying.count { $0.isPrivileged }
        let waiting = staying.filter { $0.pausedSince != nil && !$0.isPrivileged }
        for member in waiting.sorted(by: { ($0.pausedSince ?? 0) < ($1.pausedSince ?? 0) }) {
            guard left > 0 else { break }
            left -= 1
            actions.append(.setPrivileged(member.descriptor, true))
        }
    }

    /// Returns whether the client sends too slowly though it may send. A paused connection is observed anew once it
    /// resumes.
    private func isSlow(
        _ connection: MeteredConnection,
        _ next: inout [Int32: Watch],
        _ now: Int64
    ) -> Bool {
        let fresh = Watch(since: now, dataBytes: connection.dataBytes)
        if connection.pausedSince != nil { return false }
        guard let watch = watches[connection.descriptor], watch.dataBytes <= connection.dataBytes
        else {
            next[connection.descriptor] = fresh
            return false
        }
        let elapsed = now - watch.since
        let least = watch.refused == nil ? Self.watchNanoseconds : Self.refusedNanoseconds
        guard elapsed >= least else {
            next[connection.descriptor] = watch
            return false
        }
        next[connection.descriptor] = fresh
        let seconds = Double(elapsed) / Double(Self.second)
        let bytes = Double(connection.dataBytes - watch.dataBytes)
        return bytes < Double(configuration.uploadBytesPerSecondMin) * seconds
    }

    /// Refuses the connections with the most and oldest open calls while those exceed their memory limit.
    private func endOldCalls(
        _ connections: [MeteredConnection],
        _ actions: inout [Action],
        _ next: inout [Int32: Watch],
        _ now: Int64
    ) {
        var total = connections.reduce(0) { $0 + $1.callBytes }
        guard total > configuration.callBytesMax else { return }
        for connection in connections.sorted(by: { $0.callByteSeconds > $1.callByteSeconds }) {
            guard total > configuration.callBytesMax, connection.callBytes > 0 else { break }
            total -= connection.callBytes
            give(connection, .idleCall, .unreadAnswers, &actions, &next, now)
        }
    }

    /// Refuses the connection's pending calls, or closes the connection if that did not free its memory.
    private func give(
        _ connection: MeteredConnection,
        _ refusal: GRPCRefusal,
        _ closing: GRPCClosing,
        _ actions: inout [Action],
        _ next: inout [Int32: Watch],
        _ now: Int64
    ) {
        if let watch = watches[connection.descriptor], let refused = watch.refused {
            next[connection.descriptor] = watch
            if now - refused >= Self.refusedNanoseconds {
                actions.append(.close(connection.descriptor, closing))
            }
        } else {
            next[connection.descriptor] = Watch(
                since: now,
                dataBytes: connection.dataBytes,
                refused: now
            )
            actions.append(.refuse(connection.descriptor, refusal))
        }
    }
}
