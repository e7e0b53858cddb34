/// Decides which connections of a server are closed and when: tracks what each of them does and its deadline, and
/// chooses which one to close when the server is at its limit. A value without sockets and clocks; times are monotonic
/// nanoseconds.
struct ConnectionTable: Sendable {
    typealias ID = UInt64

    /// How one connection is to be closed.
    struct Ending: Equatable, Sendable {
        /// Manner of closing.
        enum Way: Sendable {
            /// Reply with status 408, then close.
            case refuse
            /// Close; bytes that were sent still arrive.
            case close
            /// Reset: the kernel drops unsent bytes.
            case reset
        }

        let id: ID
        let way: Way
        /// The reason to count; nil if the server had already sent its last reply.
        let reason: HTTPClosure?
    }

    /// State of one connection.
    private struct Entry {
        /// When the connection started waiting for a head or receiving one.
        var waitsSince: Int64
        /// Part of a head has arrived, or the connection is new.
        var isReadingHead = true
        var hasInput = false
        /// Number of heads received whose replies are not completely sent.
        var requests = 0
        /// When `requests` became greater than 0.
        var repliesSince: Int64 = 0
        /// Bytes written that the kernel has not taken yet.
        var unsentBytes = 0
        /// Bytes of replies sent since `repliesSince`.
        var sentBytes = 0
        /// When the kernel last took bytes, or first got bytes to take.
        var progressAt: Int64 = 0
        /// The bodies that pending replies keep in memory, in order.
        var bodies: [(serial: UInt64, bytes: Int)] = []
        /// The server has sent its last reply and closes the connection at this time.
        var lingersUntil: Int64?
        /// An `Ending` that closes the connection was returned.
        var isCut = false

        init(now: Int64) { waitsSince = now }

        mutating func wait(now: Int64) {
            waitsSince = now
            isReadingHead = hasInput
        }
    }

    private let bounds: HTTPBounds
    private var entries: [ID: Entry] = [:]

    init(_ bounds: HTTPBounds) { self.bounds = bounds }

    var isEmpty: Bool { entries.isEmpty }

    // MARK: Events

    mutating func opened(_ id: ID, now: Int64) { entries[id] = Entry(now: now) }

    mutating func closed(_ id: ID) { entries[id] = nil }

    /// Records that bytes have arrived. A complete head has to follow within `headSeconds`.
    mutating func received(_ id: ID, now: Int64) {
        guard entries[id] != nil else { return }
        entries[id]?.hasInput = true
        if entries[id]?.requests == 0, entries[id]?.isReadingHead == false {
            entries[id]?.wait(now: now)
        }
    }

    /// Records a complete head; its reply is pending.
    mutating func tookHead(_ id: ID, now: Int64) {
        guard var entry = entries[id] else { return }
        if entry.requests == 0 {
            entry.repliesSince = now
            entry.sentBytes = 0
        }
        entry.requests += 1
        entry.isReadingHead = false
        entry.hasInput = false
        entries[id] = entry
    }

    /// Records that the next reply carries body `serial`; a greater serial means a newer body.
    mutating func holds(_ id: ID, serial: UInt64, bytes: Int) {
        entries[id]?.bodies.append((serial, bytes))
    }

    /// Records bytes passed to the kernel.
    mutating func wrote(_ id: ID, bytes: Int, now: Int64) {
        guard var entry = entries[id] else { return }
        if entry.unsentBytes == 0 { entry.progressAt = now }
        entry.unsentBytes += bytes
        entries[id] = entry
    }

    /// Records bytes that the kernel has taken.
    mutating func sent(_ id: ID, bytes: Int, now: Int64) {
        guard var entry = entries[id] else { return }
        entry.unsentBytes -= bytes
        entry.sentBytes += bytes
        entry.progressAt = now
        entries[id] = entry
    }

    /// Records that the kernel has taken a whole reply.
    mutating func replied(_ id: ID, now: Int64) {
        guard var entry = entries[id] else { return }
        if !entry.bodies.isEmpty { entry.bodies.removeFirst() }
        entry.requests -= 1
        if entry.requests == 0 { entry.wait(now: now) }
        entries[id] = entry
    }

    /// Records that the server has sent its last reply, which the client may still read.
    mutating func lingers(_ id: ID, now: Int64) {
        guard entries[id]?.lingersUntil == nil else { return }
        entries[id]?.lingersUntil = now + Self.nanoseconds(bounds.lingerSeconds)
    }

    /// Returns whether the connection has to be closed as soon as it has a channel.
    func isCut(_ id: ID) -> Bool { entries[id]?.isCut ?? true }

    // MARK: Decisions

    /// Returns the connections whose deadline has passed, each with its reason once.
    mutating func expire(now: Int64) -> [Ending] {
        var endings: [Ending] = []
        for (id, entry) in entries {
            guard let (ending, at) = Self.deadline(of: entry, id, bounds), now >= at else {
                continue
            }
            endings.append(ending)
            switch ending.way {
            case .refuse: lingers(id, now: now)
            case .close, .reset: entries[id]?.isCut = true
            }
        }
        return endings
    }

    /// Returns whether one more connection can be accepted; call `makeRoom` after accepting it.
    func hasRoom(now: Int64) -> Bool {
        openCount < bounds.connections || candidate(now: now) != nil
    }

    /// Returns the connection to close if there are too many.
    mutating func makeRoom(now: Int64) -> Ending? {
        guard openCount > bounds.connections, let id = candidate(now: now) else { return nil }
        return cut(id, .displaced)
    }

    /// Returns a reader to close if replies hold more than `heldBytes` in memory: among the readers of the oldest body
    /// the one that has taken least. The newest body does not count, as new readers share it.
    mutating func freeBodies() -> Ending? {
        var sizes: [UInt64: Int] = [:]
        for entry in entries.values where !entry.isCut {
            // A streamed body takes no memory that closing its reader would free.
            for body in entry.bodies where body.bytes > 0 { sizes[body.serial] = body.bytes }
        }
        guard let newest = sizes.keys.max(), let oldest = sizes.keys.min(), oldest < newest,
            sizes.values.reduce(0, +) - sizes[newest, default: 0] > bounds.heldBytes
        else { return nil }
        let readers = entries.filter { _, entry in
            !entry.isCut && entry.bodies.contains { $0.serial == oldest }
        }
        return Self.least(readers, by: { Int64($0.sentBytes) }).map { cut($0, .heldBody) }
    }

    private var openCount: Int { entries.values.count { !$0.isCut } }

    private static func deadline(
        of entry: Entry,
        _ id: ID,
        _ bounds: HTTPBounds
    ) -> (Ending, at: Int64)? {
        if entry.isCut { return nil }
        if let until = entry.lingersUntil {
            return (Ending(id: id, way: .close, reason: nil), until)
        }
        if entry.unsentBytes > 0 {
            let at = entry.progressAt + nanoseconds(bounds.progressSeconds)
            return (Ending(id: id, way: .reset, reason: .slowReader), at)
        }
        if entry.requests > 0 { return nil }
        if entry.isReadingHead {
            let at = entry.waitsSince + nanoseconds(bounds.headSeconds)
            let way: Ending.Way = entry.hasInput ? .refuse : .close
            return (Ending(id: id, way: way, reason: .slowHead), at)
        }
        let at = entry.waitsSince + nanoseconds(bounds.idleSeconds)
        return (Ending(id: id, way: .close, reason: .idle), at)
    }

    /// Returns the connection to close at the limit: one that lingers; else the one without a request that has waited
    /// longest; else the reader that has taken nothing for longest, beyond `stallSeconds`; else the one whose replies
    /// have taken longest, beyond `replySeconds`.
    private func candidate(now: Int64) -> ID? {
        let open = entries.filter { !$0.value.isCut }
        let lingering = open.filter { $0.value.lingersUntil != nil }
        let waiting = open.filter { $0.value.requests == 0 }
        let sending = open.filter { $0.value.unsentBytes > 0 }
        let stalledAt = now - Self.nanoseconds(bounds.stallSeconds)
        let slowSince = now - Self.nanoseconds(bounds.replySeconds)
        let stalled = sending.filter { $0.value.progressAt <= stalledAt }
        let slow = sending.filter { $0.value.repliesSince <= slowSince }
        return Self.least(lingering, by: { $0.lingersUntil ?? 0 }) ?? Self.least(
            waiting,
            by: { $0.waitsSince }
        )
            ?? Self.least(stalled, by: { $0.progressAt })
            ?? Self.least(slow, by: { $0.repliesSince })
    }

    private static func least(_ entries: [ID: Entry], by value: (Entry) -> Int64) -> ID? {
        entries.min { (value($0.value), $0.key) < (value($1.value), $1.key) }?.key
    }

    private mutating func cut(_ id: ID, _ reason: HTTPClosure) -> Ending {
        let entry = entries[id]
        entries[id]?.isCut = true
        return Ending(
            id: id,
            way: (entry?.unsentBytes ?? 0) > 0 ? .reset : .close,
            reason: entry?.lingersUntil == nil ? reason : nil
        )
    }

    private static func nanoseconds(_ seconds: Double) -> Int64 { Int64(seconds * 1e9) }
}
