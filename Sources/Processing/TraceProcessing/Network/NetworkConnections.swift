import SystemIO
import TraceModel
import TraceSummaries

/// The connections of a process by 5-tuple. Bounded by the state's budget, which evicts those not seen for longest.
struct NetworkConnections: ~Copyable {
    private var connections = EntryStore<NetworkConnection>()
    private var index = IndexTable()
    /// The bytes that the slot's budget is charged with for the connections.
    private(set) var stateBytes = 0

    var count: Int { connections.count }

    init() {}

    /// Adds an event's bytes to its connection, which is created if it is new. Returns whether it is new.
    @inline(__always) mutating func add(
        _ bytes: UInt64,
        isSend: Bool,
        of key: NetworkConnection.Key,
        _ context: EventContext
    ) -> Bool {
        // The prefetch result; it is usually right, but may belong to another process.
        let found = context.found
        if found >= 0, found < count, connections[found].pointee.matches(key) {
            connections[found].pointee.add(bytes, isSend: isSend, at: context.time)
            return false
        }
        let hash = key.hash
        let known = index.find(hash) { connections[$0].pointee.matches(key) }
        let position = known ?? append(NetworkConnection(key, time: context.time), hash)
        connections[position].pointee.add(bytes, isSend: isSend, at: context.time)
        return known == nil
    }

    // MARK: Prefetching

    /// Prefetches a connection's index cell and returns the connection's hash.
    @inline(__always) func prefetchIndex(_ key: NetworkConnection.Key) -> Int {
        let hash = key.hash
        index.prefetchCell(hash)
        return Int(truncatingIfNeeded: hash)
    }

    /// Prefetches the cell with the connection's address. Returns its position, -1 for none. Only hashes are
    /// compared.
    @inline(__always) func prefetchPlace(_ hash: Int) -> Int {
        let position = index.probable(hash)
        if position >= 0 { connections.prefetchPlace(position) }
        return position
    }

    @inline(__always) func prefetchConnection(_ position: Int) {
        prefetch(connections[position], byteCount: MemoryLayout<NetworkConnection>.size)
    }

    @inline(__always) func prefetchEnds(_ position: Int) {
        let key = connections[position].pointee.key
        if let start = key.local.address.start { prefetch(start) }
        if let start = key.remote.address.start { prefetch(start) }
    }

    // MARK: Connections

    /// Adds a connection and returns its position.
    private mutating func append(_ connection: consuming NetworkConnection, _ hash: UInt64) -> Int {
        stateBytes += connection.stateBytes
        index.insert(hash, position: count)
        return connections.append(connection)
    }

    // MARK: Bounds

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        for position in 0..<count {
            prefetchAhead(position)
            let place = connections[position]
            sweep.note(StateSweep.stamp(place.pointee.lastSeen), bytes: place.pointee.stateBytes)
        }
    }

    /// Evicts the connections that the sweep takes, and counts them. Their traffic in the open window moves to
    /// `other`. O(connections).
    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ totals: UnsafeMutablePointer<SlotTotals>,
        _ activity: UnsafeMutablePointer<WindowActivity>
    ) {
        let known = count
        var positions = RawArray<UInt32>(capacity: known)
        var kept: UInt32 = 0
        var carried = SummaryValues()
        for position in 0..<known {
            prefetchAhead(position)
            let place = connections[position]
            let bytes = place.pointee.stateBytes
            if sweep.takes(StateSweep.stamp(place.pointee.lastSeen), bytes: bytes) {
                if place.pointee.hasWindow {
                    let traffic = place.pointee.takeWindow()
                    let values = WindowActivity.values(of: traffic, place.pointee.life)
                    WindowActivity.add(connection: values, to: &carried)
                }
                stateBytes -= bytes
                positions.append(.max)
            } else {
                positions.append(kept)
                kept += 1
            }
        }
        guard kept < known else { return }
        activity.pointee.talked(over: ByteView("other"), carried)
        totals.pointee.connectionsEvicted += UInt64(known - Int(kept))
        connections.keep { positions[$0] != .max }
        index.move(to: positions)
    }

    /// Prefetches a connection that is visited soon.
    @inline(__always) private func prefetchAhead(_ position: Int) {
        connections.prefetch(
            position + EntryStore<NetworkConnection>.ahead,
            byteCount: MemoryLayout<NetworkConnection>.size
        )
    }

    // MARK: The open window

    /// Visits each connection's traffic in the open window, and begins a new one. Two kinds of connections are added
    /// to `activity` instead: those that it already has, because the process restarted in the window, and those whose
    /// names summaries cut, as several may share a name.
    mutating func takeWindow(
        _ protocols: borrowing NetworkProtocols,
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        var text = RawBuffer(capacity: 256)
        var row = UInt32.max
        withUnsafePointer(to: QuantileSketch()) { none in
            for place in connections.elements where place.pointee.hasWindow {
                text.removeAll()
                place.pointee.appendName(
                    transport: protocols.name(of: place.pointee.transport),
                    to: &text
                )
                let name = ByteView(text.bytes)
                let traffic = place.pointee.takeWindow()
                let values = WindowActivity.values(of: traffic, place.pointee.life)
                if name.count >= Limits.summaryNameBytesMax
                    || activity.pointee.known(1, name) != nil
                {
                    activity.pointee.talked(over: name, values)
                } else {
                    visit(SummaryPart(item: name, values: values, sketch: none), 1, &row)
                }
            }
        }
    }

    /// Moves each connection's traffic in the open window to the process's activity.
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
            let traffic = place.pointee.takeWindow()
            activity.pointee.talked(
                over: ByteView(text.bytes),
                WindowActivity.values(of: traffic, place.pointee.life)
            )
        }
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
            let hash = connection.key.hash
            _ = append(connection, hash)
        }
    }
}
