import SystemIO

/// Where the statistics of a process's functions lie: each at the begin of a cache line, and where it is until others
/// are taken out. A few share a piece of memory, so that a process with few functions takes little.
struct FunctionStore: ~Copyable {
    private static var pieceCount: Int { 4 }
    private static var lineBytes: Int { 64 }
    static var stride: Int {
        (MemoryLayout<FunctionStatistics>.size + lineBytes - 1) / lineBytes * lineBytes
    }

    private var pieces = RawArray<UnsafeMutableRawPointer>(capacity: 2)
    private(set) var count = 0

    init() {}

    deinit {
        for position in 0..<count { self[position].deinitialize(count: 1) }
        for piece in pieces.elements { piece.deallocate() }
    }

    @inline(__always)
    subscript(position: Int) -> UnsafeMutablePointer<FunctionStatistics> {
        assert(position >= 0 && position < count)
        return place(position).assumingMemoryBound(to: FunctionStatistics.self)
    }

    /// Sends for where a position's piece is noted.
    @inline(__always)
    func prefetchPlace(_ position: Int) { prefetch(pieces.base + position / Self.pieceCount) }

    @inline(__always)
    private func place(_ position: Int) -> UnsafeMutableRawPointer {
        let (piece, offset) = position.quotientAndRemainder(dividingBy: Self.pieceCount)
        return pieces[piece] + offset &* Self.stride
    }

    /// Takes out all but those for which it holds, which keep their order. O(all).
    mutating func keep(where isKept: (Int) -> Bool) {
        var kept = 0
        for position in 0..<count {
            let function = self[position]
            guard isKept(position) else {
                function.deinitialize(count: 1)
                continue
            }
            if kept != position {
                place(kept).initializeMemory(as: FunctionStatistics.self, to: function.move())
            }
            kept += 1
        }
        count = kept
        while pieces.count * Self.pieceCount >= count + Self.pieceCount {
            pieces[pieces.count - 1].deallocate()
            pieces.removeLast()
        }
    }

    /// Returns its position.
    mutating func append(_ function: consuming FunctionStatistics) -> Int {
        if count == pieces.count * Self.pieceCount {
            pieces.append(
                .allocate(byteCount: Self.pieceCount * Self.stride, alignment: Self.lineBytes)
            )
        }
        place(count).initializeMemory(as: FunctionStatistics.self, to: function)
        count += 1
        return count - 1
    }
}
