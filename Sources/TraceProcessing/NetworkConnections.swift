import SystemIO
import TraceModel

/// The connections of a process by their 5-tuple. Bounded: at `Limits.connectionsPerProcessMax` the half
/// not seen for longest is given up and counted.
struct NetworkConnections: ~Copyable {
    private typealias Place = UnsafeMutablePointer<NetworkConnection>

    private var connections = RawArray<Place>(capacity: 4)
    private var index = IndexTable()

    var count: Int { connections.count }

    init() {}

    deinit {
        for place in connections.elements { Self.free(place) }
    }

    /// Adds an event's bytes to its connection, a new one where it is not known; whether it is new.
    @inline(__always)
    mutating func add(
        _ bytes: UInt64,
        isSend: Bool,
        of key: NetworkConnection.Key,
        _ context: EventContext
    ) -> Bool {
        let hash = key.hash
        let known = index.find(hash) { connections[$0].pointee.matches(key) }
        let position = known ?? insert(key, context)
        connections[position].pointee.add(bytes, isSend: isSend, at: context.time)
        return known == nil
    }

    // MARK: Looking ahead

    /// Sends for the cell of a connection; returns its hash.
    @inline(__always)
    func prefetchIndex(_ key: NetworkConnection.Key) -> Int {
        let hash = key.hash
        index.prefetchCell(hash)
        return Int(truncatingIfNeeded: hash)
    }

    /// Which connection it probably is, -1 for none: equal hashes are enough here. Sends for where it lies.
    @inline(__always)
    func prefetchPlace(_ hash: Int) -> Int {
        let position = index.probable(hash)
        if position >= 0 { prefetch(connections.base + position) }
        return position
    }

    @inline(__always)
    func prefetchConnection(_ position: Int) {
        prefetch(connections[position], byteCount: MemoryLayout<NetworkConnection>.size)
    }

    @inline(__always)
    func prefetchEnds(_ position: Int) {
        let key = connections[position].pointee.key
        if let start = key.local.address.start { prefetch(start) }
        if let start = key.remote.address.start { prefetch(start) }
    }

    // MARK: Connections

    private mutating func insert(_ key: NetworkConnection.Key, _ context: EventContext) -> Int {
        if count >= Limits.connectionsPerProcessMax {
            evictOlderHalf(context.totals, context.activity)
        }
        append(NetworkConnection(key, time: context.time))
        return count - 1
    }

    private mutating func append(_ connection: consuming NetworkConnection) {
        index.insert(connection.key.hash, position: count)
        let place = Place.allocate(capacity: 1)
        place.initialize(to: connection)
        connections.append(place)
    }

    /// Gives up the older half. Ties go by position, so that a replay evicts the same. O(n log n), once in n / 2 insertions.
    /// What they carried in the window counts there for others.
    mutating func evictOlderHalf(
        _ totals: UnsafeMutablePointer<SlotTotals>,
        _ activity: UnsafeMutablePointer<WindowActivity>
    ) {
        let ages = (0..<count).sorted {
            (connections[$0].pointee.lastSeen, $0) < (connections[$1].pointee.lastSeen, $1)
        }
        let kept = ages[(count / 2)...].sorted().map { connections[$0] }
        for position in ages[..<(count / 2)] {
            let traffic = connections[position].pointee.takeWindow()
            activity.pointee.talked(
                over: ByteView("other"),
                traffic,
                connections[position].pointee.life
            )
            Self.free(connections[position])
        }
        totals.pointee.connectionsEvicted += UInt64(count - kept.count)
        index = IndexTable(capacity: kept.count)
        for (position, place) in kept.enumerated() {
            index.insert(place.pointee.key.hash, position: position)
        }
        connections.removeAll()
        for place in kept { connections.append(place) }
    }

    /// Adds what each carried in the open window to the process's activity, which begins anew.
    mutating func tellWindow(
        _ protocols: borrowing NetworkProtocols,
        to activity: UnsafeMutablePointer<WindowActivity>
    ) {
        var text = RawBuffer(capacity: 256)
        for place in connections.elements where place.pointee.hasWindow {
            text.removeAll()
            place.pointee.appendName(
                transport: protocols.name(of: place.pointee.transport),
                to: &text
            )
            activity.pointee.talked(
                over: ByteView(text.bytes),
                place.pointee.takeWindow(),
                place.pointee.life
            )
        }
    }

    private static func free(_ place: Place) {
        place.deinitialize(count: 1)
        place.deallocate()
    }

    borrowing func forEach(_ visit: (borrowing NetworkConnection) -> Void) {
        for place in connections.elements { visit(place.pointee) }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        for place in connections.elements { place.pointee.encode(into: &buffer) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let connection = try NetworkConnection(decoding: &reader)
            append(connection)
        }
    }
}
