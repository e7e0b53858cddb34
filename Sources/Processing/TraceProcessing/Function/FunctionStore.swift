import SystemIO

/// Where the statistics of a process's functions lie: each at the begin of a cache line, and where it is for as long as
/// it is kept, but for when much of the memory is to be given back. A few share a piece of memory, so that a process with
/// few functions takes little.
struct FunctionStore: ~Copyable {
    private typealias Place = UnsafeMutablePointer<FunctionStatistics>

    private static var pieceCount: Int { 4 }
    private static var lineBytes: Int { 64 }
    static var stride: Int { (MemoryLayout<FunctionStatistics>.size + lineBytes - 1) / lineBytes * lineBytes }
    /// How far ahead of what is visited in turn `prefetch` is called.
    static var ahead: Int { 8 }

    private var places = RawArray<Place>(capacity: 4)
    private var pieces = RawArray<UnsafeMutableRawPointer>(capacity: 2)
    /// A place where no function is; each such place holds the address of the next one.
    private var vacant: UnsafeMutableRawPointer?
    private var vacantCount = 0

    init() {}

    deinit {
        for place in places.elements { place.deinitialize(count: 1) }
        for piece in pieces.elements { piece.deallocate() }
    }

    var count: Int { places.count }

    @inline(__always) subscript(position: Int) -> UnsafeMutablePointer<FunctionStatistics> { places[position] }

    /// Sends for where a position's place is noted.
    @inline(__always) func prefetchPlace(_ position: Int) { SystemIO.prefetch(places.base + position) }

    /// Sends for what an event needs of a function; there may be none at that position.
    @inline(__always) func prefetch(_ position: Int) { if position < count { SystemIO.prefetch(places[position]) } }

    /// Takes out all but those for which it holds, which keep their order. O(all).
    mutating func keep(where isKept: (Int) -> Bool) {
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
        places.removeLast(count - kept)
        // Others come, as a rule.
        if vacantCount > count / 2 + Self.pieceCount { giveBack() }
    }

    /// Returns its position.
    mutating func append(_ function: consuming FunctionStatistics) -> Int {
        let place = takeVacant()
        place.initialize(to: function)
        places.append(place)
        return count - 1
    }

    private mutating func vacate(_ place: UnsafeMutableRawPointer) {
        place.storeBytes(of: vacant, as: UnsafeMutableRawPointer?.self)
        vacant = place
        vacantCount += 1
    }

    private mutating func takeVacant() -> Place {
        if vacant == nil { addPiece() }
        guard let place = vacant else { preconditionFailure("a new piece has vacant places") }
        vacant = place.load(as: UnsafeMutableRawPointer?.self)
        vacantCount -= 1
        return place.assumingMemoryBound(to: FunctionStatistics.self)
    }

    private mutating func addPiece() {
        let piece = UnsafeMutableRawPointer.allocate(
            byteCount: Self.pieceCount * Self.stride, alignment: Self.lineBytes)
        pieces.append(piece)
        for place in (0..<Self.pieceCount).reversed() { vacate(piece + place * Self.stride) }
    }

    /// Moves all functions into as little memory as they need.
    private mutating func giveBack() {
        var oldPieces = RawArray<UnsafeMutableRawPointer>(capacity: max(2, count / Self.pieceCount + 1))
        var oldPlaces = RawArray<Place>(capacity: max(4, count))
        swap(&oldPieces, &pieces)
        swap(&oldPlaces, &places)
        (vacant, vacantCount) = (nil, 0)
        for old in oldPlaces.elements {
            let place = takeVacant()
            place.moveInitialize(from: old, count: 1)
            places.append(place)
        }
        for piece in oldPieces.elements { piece.deallocate() }
    }
}
