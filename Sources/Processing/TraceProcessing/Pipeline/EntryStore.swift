import SystemIO

/// Storage for the entries of a table, in insertion order. An entry keeps its address for as long as it is kept,
/// except when much of the memory is given back. Each piece of memory holds as many entries as all pieces before it,
/// up to a bound, so that a few entries take little memory. A new entry reuses the place of a removed one.
@safe
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
    private var places = unsafe UnsafeMutableBufferPointer<Place>(start: nil, count: 0)
    private(set) var count = 0
    private var lastPiece: UnsafeMutableRawPointer?
    /// The number of entries for which memory is allocated.
    private var placeCount = 0
    /// Head of the free list: each vacant place holds the address of the next one.
    private var vacant: UnsafeMutableRawPointer?

    init() {}

    deinit {
        for unsafeplace in unsafe elements { unsafe place.deinitialize(count: 1) }
        unsafe Self.free(places)
        unsafe Self.free(lastPiece)
    }

    /// The addresses of all entries; valid until the next insertion or removal.
    var elements: UnsafeMutableBufferPointer<Place> {
        unsafe UnsafeMutableBufferPointer(start: places.baseAddress, count: count)
    }

    @inline(__always) subscript(position: Int) -> Place { unsafe places[position] }

    /// Prefetches the cell that holds the address of a position's entry.
    @inline(__always) func prefetchPlace(_ position: Int) {
        if let base = unsafe places.baseAddress { unsafe SystemIO.prefetch(base + position) }
    }

    /// Prefetches the first bytes of an entry. The position may be out of range.
    @inline(__always) func prefetch(_ position: Int, byteCount: Int = 1) {
        if position < count { unsafe SystemIO.prefetch(places[position], byteCount: byteCount) }
    }

    /// Removes all entries for which `isKept` returns false; the others keep their order. O(count).
    mutating func keep(where isKept: (_ position: Int) -> Bool) {
        var kept = 0
        for position in 0..<count {
            let place = unsafe places[position]
            if isKept(position) {
                unsafe places[kept] = unsafe place
                kept += 1
            } else {
                unsafe place.deinitialize(count: 1)
                unsafe vacate(place)
            }
        }
        count = kept
        // Memory is kept, as new entries usually follow.
        if placeCount > 4 * (count + Self.pieceCountMax) { giveBack() }
    }

    /// Adds an entry and returns its position.
    mutating func append(_ entry: consuming Entry) -> Int {
        let place = unsafe takeVacant()
        unsafe place.initialize(to: entry)
        unsafe append(place)
        return count - 1
    }

    private mutating func append(_ place: Place) {
        if unsafe count == places.count { growPlaces() }
        unsafe places.initializeElement(at: count, to: place)
        count += 1
    }

    @inline(never) private mutating func growPlaces() {
        let larger = unsafe UnsafeMutableBufferPointer<Place>.allocate(
            capacity: max(2 * places.count, 4)
        )
        _ = unsafe larger.moveInitialize(fromContentsOf: elements)
        unsafe Self.free(places)
        unsafe places = unsafe larger
    }

    /// A buffer of one place lies in the first piece and has no allocation of its own.
    private static func free(_ places: UnsafeMutableBufferPointer<Place>) {
        if places.count > 1 { unsafe places.deallocate() }
    }

    private mutating func vacate(_ place: UnsafeMutableRawPointer) {
        unsafe place.storeBytes(of: vacant, as: UnsafeMutableRawPointer?.self)
        unsafe vacant = unsafe place
    }

    private mutating func takeVacant() -> Place {
        if unsafe vacant == nil { addPiece() }
        guard let place = unsafe vacant else {
            preconditionFailure("a new piece has vacant places")
        }
        unsafe vacant = unsafe place.load(as: UnsafeMutableRawPointer?.self)
        return unsafe place.assumingMemoryBound(to: Entry.self)
    }

    @inline(never) private mutating func addPiece() {
        let added = min(max(placeCount, 1), Self.pieceCountMax)
        let piece = UnsafeMutableRawPointer.allocate(
            byteCount: Self.headBytes + added * Self.stride,
            alignment: Self.headBytes
        )
        unsafe piece.storeBytes(of: lastPiece, as: UnsafeMutableRawPointer?.self)
        if unsafe lastPiece == nil {
            let first = unsafe (piece + MemoryLayout<UnsafeMutableRawPointer?>.stride).bindMemory(
                to: Place.self,
                capacity: 1
            )
            unsafe places = unsafe UnsafeMutableBufferPointer(start: first, count: 1)
        }
        unsafe lastPiece = unsafe piece
        placeCount += added
        for place in (0..<added).reversed() {
            unsafe vacate(piece + Self.headBytes + place * Self.stride)
        }
    }

    private static func free(_ lastPiece: UnsafeMutableRawPointer?) {
        var piece = unsafe lastPiece
        while let last = unsafe piece {
            unsafe piece = unsafe last.load(as: UnsafeMutableRawPointer?.self)
            unsafe last.deallocate()
        }
    }

    /// Moves all entries into as little memory as they need.
    private mutating func giveBack() {
        let (oldPlaces, oldElements, oldPiece) = unsafe (places, elements, lastPiece)
        unsafe places = unsafe UnsafeMutableBufferPointer(start: nil, count: 0)
        unsafe (count, lastPiece, placeCount, vacant) = (0, nil, 0, nil)
        for unsafeold in unsafe oldElements {
            let place = unsafe takeVacant()
            unsafe place.moveInitialize(from: old, count: 1)
            unsafe append(place)
        }
        unsafe Self.free(oldPlaces)
        unsafe Self.free(oldPiece)
    }
}
