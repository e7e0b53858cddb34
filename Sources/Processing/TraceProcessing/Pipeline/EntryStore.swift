import SystemIO

/// Storage for the entries of a table, in insertion order. An entry keeps its address for as long as it is kept,
/// except when much of the memory is given back. Each piece of memory holds as many entries as all pieces before it,
/// up to a bound, so that a few entries take little memory. A new entry reuses the place of a removed one.
struct EntryStore<Entry: ~Copyable>: ~Copyable {
    typealias Place = UnsafeMutablePointer<Entry>

    private static var pieceCountMax: Int { 64 }
    private static var lineBytes: Int { 64 }
    /// Bytes from one entry to the next. Large entries begin at a cache line.
    static var stride: Int {
        let size = MemoryLayout<Entry>.stride
        return size < 2 * lineBytes ? size : (size + lineBytes - 1) / lineBytes * lineBytes
    }
    /// Bytes at the start of a piece: the address of the previous piece. In the first piece, one slot of `places`
    /// follows.
    private static var headBytes: Int { stride.isMultiple(of: lineBytes) ? lineBytes : 16 }
    /// How many positions ahead of an iteration `prefetch` is to be called.
    static var ahead: Int { 8 }

    /// The address of each entry, by position. With a single entry it is in the head of the first piece.
    private var places = UnsafeMutableBufferPointer<Place>(start: nil, count: 0)
    private(set) var count = 0
    private var lastPiece: UnsafeMutableRawPointer?
    /// The number of entries for which memory is allocated.
    private var placeCount = 0
    /// Head of the free list: each vacant place holds the address of the next one.
    private var vacant: UnsafeMutableRawPointer?

    init() {}

    deinit {
        for place in elements { place.deinitialize(count: 1) }
        if keepsEntry { places[0].deinitialize(count: 1) }
        Self.free(places)
        Self.free(lastPiece)
    }

    /// The addresses of all entries; valid until the next insertion or removal.
    var elements: UnsafeMutableBufferPointer<Place> {
        UnsafeMutableBufferPointer(start: places.baseAddress, count: count)
    }

    @inline(__always) subscript(position: Int) -> Place { places[position] }

    /// Prefetches the cell that holds the address of a position's entry.
    @inline(__always) func prefetchPlace(_ position: Int) {
        if let base = places.baseAddress { SystemIO.prefetch(base + position) }
    }

    /// Prefetches the first bytes of an entry. The position may be out of range.
    @inline(__always) func prefetch(_ position: Int, byteCount: Int = 1) {
        if position < count { SystemIO.prefetch(places[position], byteCount: byteCount) }
    }

    /// Removes all entries for which `isKept` returns false; the others keep their order. O(count).
    mutating func keep(where isKept: (_ position: Int) -> Bool) {
        var kept = 0
        for position in 0..<count {
            let place = places[position]
            if isKept(position) {
                places[kept] = place
                kept += 1
            } else {
                place.deinitialize(count: 1)
                vacate(place)
            }
        }
        count = kept
        // Memory is kept, as new entries usually follow.
        if placeCount > 4 * (count + Self.pieceCountMax) { giveBack() }
    }

    // MARK: Memory that is used again

    /// Whether the only place holds an entry of another store, which `takeKept` makes the first one.
    private var keepsEntry: Bool { count == 0 && placeCount == 1 && vacant == nil }

    /// Takes the memory of a store that is not needed any more, if it has exactly one entry. This one has no memory.
    mutating func takeMemory(of gone: inout EntryStore) {
        precondition(placeCount == 0, "the store has memory of its own")
        guard gone.count == 1, gone.placeCount == 1 else { return }
        swap(&self, &gone)
        count = 0
    }

    /// Adds the entry that came with another store's memory, which the caller resets; nil if there is none.
    @inline(__always) mutating func takeKept() -> Place? {
        guard keepsEntry else { return nil }
        count = 1
        return places[0]
    }

    /// Adds an entry and returns its position.
    mutating func append(_ entry: consuming Entry) -> Int {
        let place = takeVacant()
        place.initialize(to: entry)
        append(place)
        return count - 1
    }

    private mutating func append(_ place: Place) {
        if count == places.count { growPlaces() }
        places.initializeElement(at: count, to: place)
        count += 1
    }

    @inline(never) private mutating func growPlaces() {
        let larger = UnsafeMutableBufferPointer<Place>.allocate(capacity: max(2 * places.count, 4))
        _ = larger.moveInitialize(fromContentsOf: elements)
        Self.free(places)
        places = larger
    }

    /// A buffer of one place lies in the first piece and has no allocation of its own.
    private static func free(_ places: UnsafeMutableBufferPointer<Place>) {
        if places.count > 1 { places.deallocate() }
    }

    private mutating func vacate(_ place: UnsafeMutableRawPointer) {
        place.storeBytes(of: vacant, as: UnsafeMutableRawPointer?.self)
        vacant = place
    }

    private mutating func takeVacant() -> Place {
        // A complete entry comes, so that the one that is kept is not needed.
        if keepsEntry {
            places[0].deinitialize(count: 1)
            vacate(places[0])
        }
        if vacant == nil { addPiece() }
        guard let place = vacant else { preconditionFailure("a new piece has vacant places") }
        vacant = place.load(as: UnsafeMutableRawPointer?.self)
        return place.assumingMemoryBound(to: Entry.self)
    }

    @inline(never) private mutating func addPiece() {
        let added = min(max(placeCount, 1), Self.pieceCountMax)
        let piece = UnsafeMutableRawPointer.allocate(
            byteCount: Self.headBytes + added * Self.stride,
            alignment: Self.headBytes
        )
        piece.storeBytes(of: lastPiece, as: UnsafeMutableRawPointer?.self)
        if lastPiece == nil {
            let first = (piece + MemoryLayout<UnsafeMutableRawPointer?>.stride).bindMemory(
                to: Place.self,
                capacity: 1
            )
            places = UnsafeMutableBufferPointer(start: first, count: 1)
        }
        lastPiece = piece
        placeCount += added
        for place in (0..<added).reversed() { vacate(piece + Self.headBytes + place * Self.stride) }
    }

    private static func free(_ lastPiece: UnsafeMutableRawPointer?) {
        var piece = lastPiece
        while let last = piece {
            piece = last.load(as: UnsafeMutableRawPointer?.self)
            last.deallocate()
        }
    }

    /// Moves all entries into as little memory as they need.
    private mutating func giveBack() {
        let (oldPlaces, oldElements, oldPiece) = (places, elements, lastPiece)
        places = UnsafeMutableBufferPointer(start: nil, count: 0)
        (count, lastPiece, placeCount, vacant) = (0, nil, 0, nil)
        for old in oldElements {
            let place = takeVacant()
            place.moveInitialize(from: old, count: 1)
            append(place)
        }
        Self.free(oldPlaces)
        Self.free(oldPiece)
    }
}
