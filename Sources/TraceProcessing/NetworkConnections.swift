import SystemIO
import TraceModel

/// The connections of a process by their 5-tuple. Bounded: at `Limits.connectionsPerProcessMax` the half
/// not seen for longest is given up and counted.
struct NetworkConnections: ~Copyable {
    private typealias Place = UnsafeMutablePointer<NetworkConnection>

    private var connections: [Place] = []
    private var index = IndexTable()

    var count: Int { connections.count }

    init() {}

    deinit {
        for place in connections { Self.free(place) }
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
        let known = connections.withUnsafeBufferPointer { connections in
            index.find(hash) { connections[$0].pointee.matches(key) }
        }
        let position = known ?? insert(key, context)
        connections[position].pointee.add(bytes, isSend: isSend, at: context.time)
        return known == nil
    }

    private mutating func insert(_ key: NetworkConnection.Key, _ context: EventContext) -> Int {
        if count >= Limits.connectionsPerProcessMax { evictOlderHalf(context) }
        append(NetworkConnection(key, time: context.time))
        return count - 1
    }

    private mutating func append(_ connection: consuming NetworkConnection) {
        index.insert(connection.key.hash, position: count)
        let place = Place.allocate(capacity: 1)
        place.initialize(to: connection)
        connections.append(place)
    }

    /// Ties go by position, so that a replay evicts the same. O(n log n), once in n / 2 insertions.
    private mutating func evictOlderHalf(_ context: EventContext) {
        let ages = connections.indices.sorted {
            (connections[$0].pointee.lastSeen, $0) < (connections[$1].pointee.lastSeen, $1)
        }
        let kept = ages[(count / 2)...].sorted().map { connections[$0] }
        for position in ages[..<(count / 2)] { Self.free(connections[position]) }
        context.totals.pointee.connectionsEvicted += UInt64(count - kept.count)
        index = IndexTable(capacity: Limits.connectionsPerProcessMax)
        for (position, place) in kept.enumerated() {
            index.insert(place.pointee.key.hash, position: position)
        }
        connections = kept
    }

    private static func free(_ place: Place) {
        place.deinitialize(count: 1)
        place.deallocate()
    }

    borrowing func forEach(_ visit: (borrowing NetworkConnection) -> Void) {
        for place in connections { visit(place.pointee) }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        for place in connections { place.pointee.encode(into: &buffer) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let connection = try NetworkConnection(decoding: &reader)
            append(connection)
        }
    }
}
