import SystemIO
import TraceModel

/// Entries by name, in the order in which they came. An entry stays where it is in memory until it is given up. Who
/// inserts sees to the bound.
struct NamedTable<Entry: NamedEntry & ~Copyable>: ~Copyable {
    typealias Place = UnsafeMutablePointer<Entry>

    private var places = RawArray<Place>(capacity: 2)
    private var index = IndexTable()
    /// What the entries take of their slot's budget, without what they hold beyond their names.
    private(set) var stateBytes = 0

    init() {}

    /// What an entry takes of its slot's budget.
    static func bytes(of entry: borrowing Entry) -> Int {
        MemoryLayout<Entry>.stride + MemoryLayout<Place>.stride + StateCost.index + StateCost.allocation
            + StateCost.name(entry.name.count)
    }

    deinit {
        for entry in entries {
            entry.deinitialize(count: 1)
            entry.deallocate()
        }
    }

    var count: Int { places.count }

    /// Valid until the next one comes or goes.
    var entries: UnsafeMutableBufferPointer<Place> { places.elements }

    /// Nil where the name is not known.
    @inline(__always) func find(_ name: ByteView) -> Place? { find(name, hash: NameHash.of(name)) }

    /// The same by the name's hash.
    @inline(__always) func find(_ name: ByteView, hash: UInt64) -> Place? {
        guard let found = index.find(hash, { places[$0].pointee.isNamed(name) }) else { return nil }
        return places[found]
    }

    /// Adds a name that `find` does not know.
    mutating func insert(_ name: ByteView) -> Place { append(Entry(name: name)) }

    /// The entry of a name. From the last but one on, all new names share an entry called `other`.
    @inline(__always) mutating func entry(of name: ByteView, countMax: Int) -> (place: Place, isOther: Bool) {
        if let known = find(name) { return (known, false) }
        if count < countMax - 1 { return (insert(name), false) }
        let other = ByteView("other")
        return (find(other) ?? insert(other), true)
    }

    private mutating func append(_ entry: consuming Entry) -> Place {
        let place = Place.allocate(capacity: 1)
        place.initialize(to: entry)
        index.insert(NameHash.of(place.pointee.name), position: count)
        places.append(place)
        stateBytes += Self.bytes(of: place.pointee)
        return place
    }

    /// Takes out the entries for which it holds. O(entries).
    mutating func remove(where isGone: (borrowing Entry) -> Bool) {
        var positions = RawArray<UInt32>(capacity: max(count, 1))
        var kept = 0
        for place in places.elements {
            if isGone(place.pointee) {
                positions.append(.max)
                stateBytes -= Self.bytes(of: place.pointee)
                place.deinitialize(count: 1)
                place.deallocate()
            } else {
                positions.append(UInt32(kept))
                places[kept] = place
                kept += 1
            }
        }
        places.removeLast(count - kept)
        index.move(to: positions)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(entries.count))
        for entry in entries { entry.pointee.encode(into: &buffer) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) { _ = append(try Entry(decoding: &reader)) }
    }
}
