import SystemIO
import TraceModel

/// Entries by name, in insertion order. An entry keeps its address until others are removed. The caller of `insert`
/// enforces the bound.
struct NamedTable<Entry: NamedEntry & ~Copyable>: ~Copyable {
    typealias Place = UnsafeMutablePointer<Entry>

    /// Up to this many entries are searched linearly without hashing; most tables have one or two.
    private static var unindexedMax: Int { 4 }

    private var store = EntryStore<Entry>()
    /// The index of all entries; empty until there are more than `unindexedMax`.
    private var index = IndexTable()
    /// The bytes charged for the entries and their names, without other memory that entries own.
    private(set) var stateBytes = 0

    init() {}

    /// Returns the bytes that an entry is charged with.
    static func bytes(of entry: borrowing Entry) -> Int {
        MemoryLayout<Entry>.stride + MemoryLayout<Place>.stride + StateCost.index
            + StateCost.allocation
            + StateCost.name(entry.name.count)
    }

    var count: Int { store.count }

    /// The addresses of all entries; valid until the next insertion or removal.
    var entries: UnsafeMutableBufferPointer<Place> { store.elements }

    // MARK: Prefetching

    /// Prefetches a name's index cell. Returns the name's hash for `find` and `insert`, or nil if there are too few
    /// entries to be indexed.
    @inline(__always) func prefetchIndex(_ name: ByteView) -> UInt64? {
        guard index.count > 0 else { return nil }
        let hash = NameHash.of(name)
        index.prefetchCell(hash)
        return hash
    }

    /// Prefetches an entry. The position may be out of range by now.
    @inline(__always) func prefetchEntry(_ position: Int) {
        store.prefetch(position, byteCount: MemoryLayout<Entry>.size)
    }

    /// Prefetches an entry's name. The position may be out of range by now.
    @inline(__always) func prefetchName(_ position: Int) {
        guard position < count, let start = store[position].pointee.name.start else { return }
        prefetch(start)
    }

    // MARK: Entries

    /// Returns the entry with this name, or nil.
    @inline(__always) func find(_ name: ByteView) -> Place? {
        find(name, hash: index.count > 0 ? NameHash.of(name) : nil)
    }

    /// Finds by the result of `prefetchIndex`; no entry may have been added since.
    @inline(__always) func find(_ name: ByteView, hash: UInt64?) -> Place? {
        guard let hash else {
            for place in store.elements where place.pointee.isNamed(name) { return place }
            return nil
        }
        let found = index.find(hash) { store[$0].pointee.isNamed(name) }
        return found.map { store[$0] }
    }

    /// Adds an entry for a name that `find` does not return.
    mutating func insert(_ name: ByteView, hash: UInt64? = nil) -> Place {
        guard let kept = store.takeKept() else { return append(Entry(name: name), hash) }
        kept.pointee.restart(name: name)
        stateBytes = Self.bytes(of: kept.pointee)
        return kept
    }

    /// Takes the memory of a table that is not needed any more, with its only entry, which is used again for the first
    /// one that is inserted. This table has no entries.
    mutating func takeMemory(of gone: inout NamedTable) { store.takeMemory(of: &gone.store) }

    /// Returns the entry of a name. Once one place is left, all new names share an entry called `other`.
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

    /// Removes the entries for which `isGone` returns true. It is called once per entry, in order. Returns whether
    /// there were any. O(entries).
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
