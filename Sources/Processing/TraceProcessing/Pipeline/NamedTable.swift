import SystemIO
import TraceModel

/// Entries by name, in the order in which they came. An entry stays where it is in memory until others are taken out. Who
/// inserts sees to the bound.
struct NamedTable<Entry: NamedEntry & ~Copyable>: ~Copyable {
    typealias Place = UnsafeMutablePointer<Entry>

    /// So many entries are looked through rather than hashed: most tables have one or two.
    private static var unindexedMax: Int { 4 }

    private var store = EntryStore<Entry>()
    /// Of all entries; empty before there are more than `unindexedMax`.
    private var index = IndexTable()
    /// What the entries take of their slot's budget, without what they hold beyond their names.
    private(set) var stateBytes = 0

    init() {}

    /// What an entry takes of its slot's budget.
    static func bytes(of entry: borrowing Entry) -> Int {
        MemoryLayout<Entry>.stride + MemoryLayout<Place>.stride + StateCost.index
            + StateCost.allocation
            + StateCost.name(entry.name.count)
    }

    var count: Int { store.count }

    /// Valid until the next one comes or goes.
    var entries: UnsafeMutableBufferPointer<Place> { store.elements }

    // MARK: Prefetching

    /// Sends for a name's cell; returns what `find` and `insert` take: the name's hash, nil where there are too few entries
    /// to be hashed.
    @inline(__always) func prefetchIndex(_ name: ByteView) -> UInt64? {
        guard index.count > 0 else { return nil }
        let hash = NameHash.of(name)
        index.prefetchCell(hash)
        return hash
    }

    /// Sends for an entry; there may be none at that position any more.
    @inline(__always) func prefetchEntry(_ position: Int) {
        store.prefetch(position, byteCount: MemoryLayout<Entry>.size)
    }

    /// Sends for the name of the entry at a position that may be too great by now.
    @inline(__always) func prefetchName(_ position: Int) {
        guard position < count, let start = store[position].pointee.name.start else { return }
        prefetch(start)
    }

    // MARK: Entries

    /// Nil where the name is not known.
    @inline(__always) func find(_ name: ByteView) -> Place? {
        find(name, hash: index.count > 0 ? NameHash.of(name) : nil)
    }

    /// The same by what `prefetchIndex` has returned; nothing may have come since.
    @inline(__always) func find(_ name: ByteView, hash: UInt64?) -> Place? {
        guard let hash else {
            for place in store.elements where place.pointee.isNamed(name) { return place }
            return nil
        }
        let found = index.find(hash) { store[$0].pointee.isNamed(name) }
        return found.map { store[$0] }
    }

    /// Adds a name that `find` does not know.
    mutating func insert(_ name: ByteView, hash: UInt64? = nil) -> Place {
        append(Entry(name: name), hash)
    }

    /// The entry of a name. From the last but one on, all new names share an entry called `other`.
    @inline(__always) mutating func entry(
        of name: ByteView,
        countMax: Int
    ) -> (place: Place, isOther: Bool) {
        if let known = find(name) { return (known, false) }
        if count < countMax - 1 { return (insert(name), false) }
        let other = ByteView("other")
        return (find(other) ?? insert(other), true)
    }

    private mutating func append(_ entry: consuming Entry, _ hash: UInt64? = nil) -> Place {
        let position = store.append(entry)
        if index.count == position, position > 0 {
            index.insert(hash ?? NameHash.of(store[position].pointee.name), position: position)
        } else if position == Self.unindexedMax {
            for position in 0...position {
                index.insert(NameHash.of(store[position].pointee.name), position: position)
            }
        }
        stateBytes += Self.bytes(of: store[position].pointee)
        return store[position]
    }

    /// Takes out the entries for which it holds, each of which is asked for once, in their order. Whether there were any.
    /// O(entries).
    @discardableResult mutating func remove(where isGone: (Place) -> Bool) -> Bool {
        let known = count
        var positions = RawArray<UInt32>(capacity: known)
        var kept: UInt32 = 0
        var bytes = stateBytes
        let places = store.elements
        store.keep { position in
            let place = places[position]
            if isGone(place) {
                positions.append(.max)
                bytes -= Self.bytes(of: place.pointee)
                return false
            }
            positions.append(kept)
            kept += 1
            return true
        }
        stateBytes = bytes
        index.move(to: positions)
        return Int(kept) < known
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        for entry in entries { entry.pointee.encode(into: &buffer) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) { _ = append(try Entry(decoding: &reader)) }
    }
}
