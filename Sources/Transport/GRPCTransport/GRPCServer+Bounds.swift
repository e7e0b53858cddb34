internal import Synchronization
internal import SystemIO

/// State that `keepBounds` keeps from one run to the next.
struct Upkeep {
    var budget: ReceiveBudget
    /// Time of the GOAWAY that each idle connection was sent, by descriptor (monotonic ns).
    var sentAway: [Int32: Int64] = [:]
    var flooded = 0
    var nextCount: Int64 = 0
}

/// Enforces the limits on connections, open calls and memory.
extension GRPCServer {
    private static let second: Int64 = 1_000_000_000
    /// Number of connections below `connectionsMax` that is kept free for new clients.
    private static let sparePlaces = 64
    /// Time that a client gets after a GOAWAY to close its idle connection by itself.
    private static let awayNanoseconds = second

    /// Enforces time limits and makes room. Called about four times a second on a poller.
    func keepBounds(now: Int64) {
        receiving.sweep(now: now) { [meters] in meters.inspect($0, now: now)?.lastActive }
        balance(now: now)
        let isDue = upkeep.withLock { upkeep in
            guard now >= upkeep.nextCount else { return false }
            upkeep.nextCount = now + Self.second
            return true
        }
        if isDue || peers.knownCount > configuration.connectionsMax / 2 { displaceIdle(now: now) }
        let flooded = meters.totals.floodedConnections
        let new = upkeep.withLock { upkeep in
            defer { upkeep.flooded = flooded }
            return flooded - upkeep.flooded
        }
        for _ in 0..<max(new, 0) { handler.closed(.flood) }
    }

    /// Rebalances after messages were answered or a large one has arrived, so that paused connections may resume.
    func roomFreed() { balance(now: WallClock.monotonic()) }

    /// Ends calls and connections that hold memory without progress, and resumes paused connections for which there is
    /// room.
    private func balance(now: Int64) {
        let (actions, paused) = upkeep.withLock { upkeep in
            guard upkeep.budget.isNeeded(meters.totals) else {
                return ([ReceiveBudget.Action](), [MeteredConnection]())
            }
            let connections = peers.inspectAll(now: now)
            let actions = upkeep.budget.decide(connections, now: now)
            for case .setPrivileged(let descriptor, let on) in actions {
                meters.setPrivileged(descriptor, on)
            }
            return (actions, connections.filter { $0.pausedSince != nil })
        }
        for action in actions {
            switch action {
            case .setPrivileged: break
            case .refuse(let descriptor, let reason): refuse(descriptor, reason)
            case .close(let descriptor, let reason):
                if peers.end(descriptor) { handler.closed(reason) }
            }
        }
        for connection in paused.sorted(by: { ($0.pausedSince ?? 0) < ($1.pausedSince ?? 0) }) {
            meters.resume(connection.descriptor)
        }
    }

    /// Refuses all calls of a connection whose messages are incomplete.
    private func refuse(_ descriptor: Int32, _ reason: GRPCRefusal) {
        let text =
            switch reason {
            case .tooLarge: "a message is larger than \(configuration.messageBytesMax) bytes"
            case .slowUpload: "the message came too slowly while others waited"
            default: "too many calls at once"
            }
        let answer = exhausted(text)
        for call in receiving.calls(of: descriptor) { call.evict(answer, reason) }
        for stream in streams(of: descriptor) { stream.evict(answer, reason) }
    }

    /// Sends a GOAWAY to idle connections while the server is near `connectionsMax`, and closes those that are still
    /// open `awayNanoseconds` later.
    private func displaceIdle(now: Int64) {
        let open = peers.openCount(now: now)
        let spare = max(1, min(Self.sparePlaces, configuration.connectionsMax / 2))
        let surplus = open - (configuration.connectionsMax - spare)
        let away = upkeep.withLock { $0.sentAway }
        guard surplus > 0 || !away.isEmpty else { return }
        let candidates = peers.candidates(now: now)
        let idle = Set(IdleConnections.choose(.max, of: candidates, hostMax: .max, now: now))
        var stillAway: [Int32: Int64] = [:]
        for (descriptor, since) in away where idle.contains(descriptor) {
            if now - since >= Self.awayNanoseconds {
                _ = peers.end(descriptor)
            } else {
                stillAway[descriptor] = since
            }
        }
        if surplus > stillAway.count {
            let chosen = IdleConnections.choose(
                surplus - stillAway.count,
                of: candidates.filter { away[$0.descriptor] == nil },
                hostMax: configuration.idlePerHostMax,
                now: now
            )
            for descriptor in chosen {
                _ = meters.sendAway(descriptor)
                stillAway[descriptor] = now
                handler.closed(.idle)
            }
        }
        upkeep.withLock { $0.sentAway = stillAway }
    }

    /// Chooses the stream to end so that a new one of connection `descriptor` can open; nil if there is none.
    func streamToEnd(for descriptor: Int32, among open: [GRPCStream], now: Int64) -> GRPCStream? {
        var counts: [Int32: Int] = [:]
        for stream in open { counts[stream.descriptor, default: 0] += 1 }
        // Either another connection has more streams than this one will have, or the chosen stream must have been idle
        // for `idleStreamSeconds`.
        let (crowded, most) = counts.max { ($0.value, $1.key) < ($1.value, $0.key) } ?? (-1, 0)
        let isCrowded = most > counts[descriptor, default: 0] + 1
        var victim: (stream: GRPCStream, since: Int64)?
        for stream in open where !isCrowded || stream.descriptor == crowded {
            guard let since = stream.listeningSince else { continue }
            if since < victim?.since ?? .max { victim = (stream, since) }
        }
        guard let victim else { return nil }
        let idle = Double(now - victim.since) / 1e9
        return isCrowded || idle >= configuration.idleStreamSeconds ? victim.stream : nil
    }
}
