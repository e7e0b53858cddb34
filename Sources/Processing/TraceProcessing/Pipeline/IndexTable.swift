import SystemIO

/// An open-addressing hash table of positions in an array that the caller owns. 16 bytes a cell, linear probing, at
/// most half full, no memory while empty. Keys stay in the array; the caller compares them.
struct IndexTable: ~Copyable {
    /// A hash and the position stored under it.
    private struct Cell: BitwiseCopyable {
        var hash: UInt64
        /// Position + 1; 0 is an empty cell.
        var position: Int
    }

    private var cells: UnsafeMutablePointer<Cell>
    private var mask: Int
    private(set) var count = 0

    private static var sizeMin: Int { 8 }
    /// The shared, always empty cell of tables that have no memory of their own.
    nonisolated(unsafe) private static let noCell: UnsafeMutablePointer<Cell> = {
        let cell = UnsafeMutablePointer<Cell>.allocate(capacity: 1)
        cell.initialize(to: Cell(hash: 0, position: 0))
        return cell
    }()

    init() {
        cells = Self.noCell
        mask = 0
    }

    deinit { if mask > 0 { cells.deallocate() } }

    /// Returns the position stored under this hash for which `matches` returns true.
    @inline(__always) func find(_ hash: UInt64, _ matches: (Int) -> Bool) -> Int? {
        var at = Int(truncatingIfNeeded: hash) & mask
        while cells[at].position != 0 {
            if cells[at].hash == hash, matches(cells[at].position - 1) {
                return cells[at].position - 1
            }
            at = (at + 1) & mask
        }
        return nil
    }

    /// Returns a position stored under this hash, or -1. Keys are not compared, which is enough for prefetching.
    @inline(__always) func probable(_ hash: Int) -> Int {
        find(UInt64(truncatingIfNeeded: hash), { _ in true }) ?? -1
    }

    /// Prefetches the cell where the search for a hash begins.
    @inline(__always) func prefetchCell(_ hash: UInt64) {
        SystemIO.prefetch(cells + (Int(truncatingIfNeeded: hash) & mask))
    }

    /// Adds a position that `find` does not return yet.
    mutating func insert(_ hash: UInt64, position: Int) {
        if (count + 1) * 2 > mask + 1 { resize(to: max(Self.sizeMin, 2 * (mask + 1))) }
        file(Cell(hash: hash, position: position + 1))
        count += 1
    }

    /// Removes a position stored under this hash.
    mutating func remove(_ hash: UInt64, position: Int) {
        guard var hole = cell(hash, position) else { return }
        // Later cells move into the hole unless that would put them before their home cell, so there are no
        // tombstones (Knuth, The Art of Computer Programming, 6.4, algorithm R).
        var at = (hole + 1) & mask
        while cells[at].position != 0 {
            let home = Int(truncatingIfNeeded: cells[at].hash) & mask
            if (at - home) & mask >= (at - hole) & mask {
                cells[hole] = cells[at]
                hole = at
            }
            at = (at + 1) & mask
        }
        cells[hole].position = 0
        count -= 1
    }

    /// Changes the position stored under this hash.
    mutating func move(_ hash: UInt64, from position: Int, to other: Int) {
        guard let cell = cell(hash, position) else { return }
        cells[cell].position = other + 1
    }

    private func cell(_ hash: UInt64, _ position: Int) -> Int? {
        var at = Int(truncatingIfNeeded: hash) & mask
        while cells[at].position != 0 {
            if cells[at].position == position + 1 { return at }
            at = (at + 1) & mask
        }
        return nil
    }

    /// Replaces each position by `positions[position]`; `.max` removes it. Works in place, cell by cell, without
    /// touching keys or the memory that they are in. O(cells).
    mutating func move(to positions: borrowing RawArray<UInt32>) {
        guard count > 0 else { return }
        // Behind an empty cell begins a run whose home cells all lie within it, so an entry that is inserted again
        // finds room at its current cell at the latest.
        var start = 0
        while cells[start].position != 0 { start += 1 }
        count = 0
        for step in 1...mask {
            let cell = cells[(start + step) & mask]
            guard cell.position != 0 else { continue }
            cells[(start + step) & mask].position = 0
            let position = positions[cell.position - 1]
            guard position != .max else { continue }
            file(Cell(hash: cell.hash, position: Int(position) + 1))
            count += 1
        }
        // As many entries usually come as went, so a table that was half full is not shrunk.
        var size = mask + 1
        while size > Self.sizeMin, size >= 16 * count { size /= 2 }
        if size <= mask { resize(to: size) }
    }

    private func file(_ cell: Cell) {
        var at = Int(truncatingIfNeeded: cell.hash) & mask
        while cells[at].position != 0 { at = (at + 1) & mask }
        cells[at] = cell
    }

    private mutating func resize(to size: Int) {
        let old = UnsafeMutableBufferPointer(start: cells, count: mask + 1)
        cells = .allocate(capacity: size)
        cells.initialize(repeating: Cell(hash: 0, position: 0), count: size)
        mask = size - 1
        for cell in old where cell.position != 0 { file(cell) }
        if old.count > 1 { old.deallocate() }
    }
}
