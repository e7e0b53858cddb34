import SystemIO
import TraceModel
import TraceSummaries

/// The connections of a process by their 5-tuple. Bounded by the state's budget: those not seen for longest give way.
struct NetworkConnections: ~Copyable {
    private var connections = EntryStore<NetworkConnection>()
    private var index = IndexTable()
    /// What the connections take of their slot's budget.
    private(set) var stateBytes = 0

    var count: Int { connections.count }

    init() {}

    /// Adds an event's bytes to its connection, a new one where it is not known; whether it is new.
    @inline(__always) mutating func add(
        _ bytes: UInt64,
        isSend: Bool,
        of key: NetworkConnection.Key,
        _ context: EventContext
    ) -> Bool {
        // Where looking ahead found it: mostly, as it may have been another process's.
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

    // MARK: Looking ahead

    /// Sends for the cell of a connection; returns its hash.
    @inline(__always) func prefetchIndex(_ key: NetworkConnection.Key) -> Int {
        let hash = key.hash
        index.prefetchCell(hash)
        return Int(truncatingIfNeeded: hash)
    }

    /// Which connection it probably is, -1 for none: equal hashes are enough here. Sends for where it lies.
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

    /// Returns its position.
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

    /// Gives up the connections that the sweep takes, counted; what they carried in the open window counts there as that
    /// of `other`. O(connections).
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

    /// Sends for a connection that is visited soon.
    @inline(__always) private func prefetchAhead(_ position: Int) {
        connections.prefetch(
            position + EntryStore<NetworkConnection>.ahead,
            byteCount: MemoryLayout<NetworkConnection>.size
        )
    }

    // MARK: The open window

    /// Visits what each carried in the open window, which begins anew. A connection that the process's activity knows too,
    /// as the process has begun anew since, adds to it there; so do those whose names summaries cut, as several may be of
    /// one name.
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
