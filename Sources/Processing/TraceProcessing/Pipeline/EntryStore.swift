import SystemIO

/// Where the entries of a table lie, in the order in which they came: each at one place for as long as it is kept, but for
/// when much of the memory is to be given back. Pieces of memory hold as many entries as there were before them, up to a
/// bound, so that few entries take little, and a new one among many takes the place of one that has gone.
struct EntryStore<Entry: ~Copyable>: ~Copyable {
    typealias Place = UnsafeMutablePointer<Entry>

    private static var pieceCountMax: Int { 64 }
    private static var lineBytes: Int { 64 }
    /// Large entries begin at a cache line each.
    static var stride: Int {
        let size = MemoryLayout<Entry>.stride
        return size < 2 * lineBytes ? size : (size + lineBytes - 1) / lineBytes * lineBytes
    }
    /// A piece begins with the address of the piece before it; in the first one a place of `places` follows.
    private static var headBytes: Int { stride.isMultiple(of: lineBytes) ? lineBytes : 16 }
    /// How far ahead of what is visited in turn `prefetch` is called.
    static var ahead: Int { 8 }

    /// Of each entry its place: while there is one only, in the head of the first piece.
    private var places = UnsafeMutableBufferPointer<Place>(start: nil, count: 0)
    private(set) var count = 0
    private var lastPiece: UnsafeMutableRawPointer?
    /// Entries for which there is memory.
    private var placeCount = 0
    /// A place where no entry is; each such place holds the address of the next one.
    private var vacant: UnsafeMutableRawPointer?

    init() {}

    deinit {
        for place in elements { place.deinitialize(count: 1) }
        Self.free(places)
        Self.free(lastPiece)
    }

    /// Valid until the next one comes or goes.
    var elements: UnsafeMutableBufferPointer<Place> {
        UnsafeMutableBufferPointer(start: places.baseAddress, count: count)
    }

    @inline(__always) subscript(position: Int) -> Place { places[position] }

    /// Sends for where a position's place is noted.
    @inline(__always) func prefetchPlace(_ position: Int) {
        if let base = places.baseAddress { SystemIO.prefetch(base + position) }
    }

    /// Sends for the begin of an entry; there may be none at that position.
    @inline(__always) func prefetch(_ position: Int, byteCount: Int = 1) {
        if position < count { SystemIO.prefetch(places[position], byteCount: byteCount) }
    }

    /// Takes out all but those for which it holds, which keep their order. O(all).
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
        // Others come, as a rule.
        if placeCount > 4 * (count + Self.pieceCountMax) { giveBack() }
    }

    /// Returns its position.
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

    /// Memory of one place is not its own.
    private static func free(_ places: UnsafeMutableBufferPointer<Place>) {
        if places.count > 1 { places.deallocate() }
    }

    private mutating func vacate(_ place: UnsafeMutableRawPointer) {
        place.storeBytes(of: vacant, as: UnsafeMutableRawPointer?.self)
        vacant = place
    }

    private mutating func takeVacant() -> Place {
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
