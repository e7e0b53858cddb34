import SystemIO

/// An open-addressing hash table of positions into somebody else's array: 16 bytes a cell, linear
/// probing, at most half full, no memory while it is empty. Keys stay where they are; the caller compares them.
struct IndexTable: ~Copyable {
    private struct Cell: BitwiseCopyable {
        var hash: UInt64
        /// Position + 1; 0 is an empty cell.
        var position: Int
    }

    private var cells: UnsafeMutablePointer<Cell>
    private var mask: Int
    private(set) var count = 0

    private static var sizeMin: Int { 8 }
    /// The only cell of all tables that have none of their own; it stays empty.
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

    /// The position filed under this hash for which `matches` holds.
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

    /// The position probably filed under this hash, -1 for none: equal hashes are enough for looking ahead.
    @inline(__always) func probable(_ hash: Int) -> Int {
        find(UInt64(truncatingIfNeeded: hash), { _ in true }) ?? -1
    }

    /// Sends for the cell where the search for a hash begins.
    @inline(__always) func prefetchCell(_ hash: UInt64) {
        SystemIO.prefetch(cells + (Int(truncatingIfNeeded: hash) & mask))
    }

    /// Files a position that `find` does not know yet.
    mutating func insert(_ hash: UInt64, position: Int) {
        if (count + 1) * 2 > mask + 1 { resize(to: max(Self.sizeMin, 2 * (mask + 1))) }
        file(Cell(hash: hash, position: position + 1))
        count += 1
    }

    /// Takes out a position that is filed under this hash.
    mutating func remove(_ hash: UInt64, position: Int) {
        guard var hole = cell(hash, position) else { return }
        // What stands behind the hole moves into it unless it would come before its own home: no
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

    /// What was filed under this hash at one position stands at another one now.
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

    /// What was filed at each position stands where `positions` says from here on, `.max` for what is gone. In place, one
    /// cell after the other: neither keys nor the memory that they would be found in are visited. O(cells).
    mutating func move(to positions: borrowing RawArray<UInt32>) {
        guard count > 0 else { return }
        // Behind an empty cell begins a run whose homes all lie in it: what is filed anew finds room at its own cell at
        // the latest.
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
        // As many as went will come, as a rule: a table that was half full is not made smaller.
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
