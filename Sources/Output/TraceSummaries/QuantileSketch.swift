public import SystemIO
package import TraceModel

// Encoding, little-endian: u16 number of buckets, then u16 index and u64 count of each bucket, by rising index.

/// Estimates quantiles of integers (nanoseconds, bytes) within 1 %: a DDSketch (Masson, Rim, Lee 2019) with the
/// linearly interpolated mapping, which needs only integer arithmetic and so gives the same result on every machine.
/// Each doubling has 50 buckets; bucket 0 counts zeros.
///
/// Sparse: 8 bytes for each bucket that is not empty, and nothing for an empty sketch. Beyond `Limits.sketchBucketsMax`
/// buckets, the lowest ones are merged into one, which affects only quantiles inside it. Merging is associative and
/// commutative, also beyond the bound: the result depends on the values alone.
@usableFromInline package struct QuantileSketch: Sendable, Equatable {
    private static let bucketsPerDoubling: UInt64 = 50
    /// An emptied sketch keeps the memory of at most this many buckets.
    private static let keptBucketsMax = 32
    private static let countBits: UInt64 = 48
    private static let countMax: UInt64 = 1 << countBits - 1

    /// Sorted cells: the bucket's index in the high 16 bits, its count (which saturates) in the low 48.
    @usableFromInline var cells: [UInt64] = []

    package init() {}

    package var isEmpty: Bool { cells.isEmpty }

    /// Returns how many values were inserted. O(buckets).
    package var count: UInt64 { cells.reduce(0) { $0 + ($1 & Self.countMax) } }

    package var bucketCount: Int { cells.count }

    /// The buckets that are not empty, by rising index.
    package var buckets: [(index: Int, count: UInt64)] {
        cells.map { (Int($0 >> Self.countBits), $0 & Self.countMax) }
    }

    // MARK: Adding

    /// Prefetches the memory that `insert` will access. The array's address is read from the sketch's memory, because
    /// borrowing the cells would increment a reference count in that very memory and wait for it. 128 bytes hold as
    /// many cells as most sketches have.
    @inlinable @inline(__always) package static func prefetch(
        _ sketch: UnsafePointer<QuantileSketch>
    ) {
        unsafe SystemIO.prefetch(
            UnsafeRawPointer(sketch).load(as: UnsafeRawPointer.self),
            byteCount: 128
        )
    }

    /// Inserts a value. O(log buckets), and O(buckets) for a new bucket.
    package mutating func insert(_ value: UInt64) { add(1, at: Self.index(of: value)) }

    /// Removes all values; a small allocation is kept.
    package mutating func removeAll() {
        cells.removeAll(keepingCapacity: cells.capacity <= Self.keptBucketsMax)
    }

    /// Adds another sketch's values. O(buckets of both).
    package mutating func merge(_ other: borrowing QuantileSketch) {
        if other.cells.isEmpty { return }
        if cells.isEmpty {
            cells = other.cells
            return
        }
        // A few buckets into many, most of which exist: update in place.
        if other.cells.count * 8 <= cells.count {
            for cell in other.cells { add(cell & Self.countMax, at: Int(cell >> Self.countBits)) }
            return
        }
        let known = cells.count
        cells.append(contentsOf: repeatElement(0, count: missing(other)))
        // Merge from the greatest down, in place: the free space is at the end.
        var (mine, others, free) = (known - 1, other.cells.count - 1, cells.count - 1)
        while others >= 0 {
            let key = other.cells[others] & ~Self.countMax
            if mine >= 0, cells[mine] & ~Self.countMax > key {
                cells[free] = cells[mine]
                mine -= 1
            } else if mine >= 0, cells[mine] & ~Self.countMax == key {
                cells[free] = Self.grown(cells[mine], by: other.cells[others] & Self.countMax)
                (mine, others) = (mine - 1, others - 1)
            } else {
                cells[free] = other.cells[others]
                others -= 1
            }
            free -= 1
        }
        collapse()
    }

    /// Returns how many of the other sketch's buckets are missing here.
    private func missing(_ other: borrowing QuantileSketch) -> Int {
        var (count, mine) = (0, 0)
        for cell in other.cells {
            let key = cell & ~Self.countMax
            while mine < cells.count, cells[mine] & ~Self.countMax < key { mine += 1 }
            if mine == cells.count || cells[mine] & ~Self.countMax != key { count += 1 }
        }
        return count
    }

    /// Adds `count` values to a bucket, as `buckets` returned it. `index` is below 65,536.
    package mutating func add(_ count: UInt64, at index: Int) {
        let key = UInt64(index) << Self.countBits
        var (low, high) = (0, cells.count)
        while low < high {
            let middle = (low + high) / 2
            if cells[middle] & ~Self.countMax < key { low = middle + 1 } else { high = middle }
        }
        if low < cells.count, cells[low] & ~Self.countMax == key {
            cells[low] = Self.grown(cells[low], by: count)
        } else {
            cells.insert(key | min(count, Self.countMax), at: low)
            collapse()
        }
    }

    /// Merges the lowest buckets beyond the bound. The result does not depend on the order of insertion: the buckets
    /// that stay separate are always the highest that were ever filled.
    private mutating func collapse() {
        let excess = cells.count - Limits.sketchBucketsMax
        guard excess > 0 else { return }
        for position in 0..<excess {
            cells[excess] = Self.grown(cells[excess], by: cells[position] & Self.countMax)
        }
        cells.removeFirst(excess)
    }

    private static func grown(_ cell: UInt64, by count: UInt64) -> UInt64 {
        let (sum, overflow) = (cell & countMax).addingReportingOverflow(count)
        return (cell & ~countMax) | (overflow ? countMax : min(sum, countMax))
    }

    // MARK: Reading

    /// Returns the quantile of a share from 0 to 1, or nil where there are no values. O(buckets).
    package func quantile(_ share: Double) -> UInt64? {
        let total = count
        guard total > 0 else { return nil }
        // The rank of the least value that at least this share of all values does not exceed.
        let rank = max(1, (min(max(share, 0), 1) * Double(total)).rounded(.up))
        var seen: UInt64 = 0
        for cell in cells {
            seen += cell & Self.countMax
            if Double(seen) >= rank { return Self.value(at: cell >> Self.countBits) }
        }
        return cells.last.map { Self.value(at: $0 >> Self.countBits) }
    }

    // MARK: Mapping of values to buckets

    private static func index(of value: UInt64) -> Int {
        guard value > 0 else { return 0 }
        let zeros = UInt64(value.leadingZeroBitCount)
        // The 32 bits behind the leading one.
        let fraction = ((value << zeros) << 1) >> 32
        let step = (fraction * bucketsPerDoubling) >> 32
        return Int(1 + (63 - zeros) * bucketsPerDoubling + step)
    }

    /// Returns the value with the least relative error in its bucket: the harmonic mean of the bounds, which is at most
    /// 1/101 from either.
    private static func value(at index: UInt64) -> UInt64 {
        guard index > 0 else { return 0 }
        let (exponent, step) = (index - 1).quotientAndRemainder(dividingBy: bucketsPerDoubling)
        // A bucket of small values contains only one integer.
        if exponent <= 5 {
            return (((bucketsPerDoubling + step) << exponent) + bucketsPerDoubling - 1)
                / bucketsPerDoubling
        }
        let scale = Double(sign: .plus, exponent: Int(exponent), significand: 1)
        let lower = scale * (1 + Double(step) / Double(bucketsPerDoubling))
        let upper = scale * (1 + Double(step + 1) / Double(bucketsPerDoubling))
        let middle = (2 * lower * upper / (lower + upper)).rounded()
        return middle < 0x1p64 ? UInt64(middle) : .max
    }

    // MARK: Encoding

    /// Appends the sketch in the encoding described above.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt16(cells.count))
        for cell in cells {
            buffer.append(integer: UInt16(cell >> Self.countBits))
            buffer.append(integer: cell & Self.countMax)
        }
    }

    /// Decodes a sketch.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no sketch.
    package init(decoding reader: inout StateReader) throws(TraceError) {
        let count = Int(try reader.integer(UInt16.self))
        guard count <= Limits.sketchBucketsMax else { throw Self.damaged }
        cells.reserveCapacity(count)
        for _ in 0..<count {
            let key = UInt64(try reader.integer(UInt16.self)) << Self.countBits
            let seen = try reader.integer(UInt64.self)
            guard seen <= Self.countMax, cells.last.map({ $0 & ~Self.countMax < key }) ?? true
            else {
                throw Self.damaged
            }
            cells.append(key | seen)
        }
    }

    private static let damaged = TraceError(.corrupt, "A stored quantile sketch is damaged")
}
