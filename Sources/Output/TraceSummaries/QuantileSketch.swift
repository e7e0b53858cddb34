public import SystemIO
package import TraceModel

// Encoding: u16 number of buckets, then for each, by rising index: u16 index, u64 count; little-endian.

/// Quantiles of whole numbers (nanoseconds, bytes) within 1 %: a DDSketch (Masson, Rim, Lee 2019) with the
/// linearly interpolated mapping, so that it takes integer arithmetic only and gives the same on every
/// machine. 50 buckets to each doubling; bucket 0 holds zeros.
///
/// Sparse: 8 bytes a bucket that is not empty, nothing while there is none. Beyond
/// `Limits.sketchBucketsMax` buckets, the lowest ones fall into one, which spoils only quantiles that lie in
/// it. Merging is associative and commutative, also beyond the bound: the result depends on the values alone.
@usableFromInline package struct QuantileSketch: Sendable, Equatable {
    /// Relative error of a quantile at most, where its bucket has not fallen into the lowest one.
    package static let relativeAccuracy = 0.01

    private static let bucketsPerDoubling: UInt64 = 50
    /// Buckets whose memory an emptied sketch keeps.
    private static let keptBucketsMax = 32
    private static let countBits: UInt64 = 48
    private static let countMax: UInt64 = 1 << countBits - 1

    /// Index in the high 16 bits, count in the low 48, which stays at its end; sorted.
    @usableFromInline var cells: [UInt64] = []

    package init() {}

    package var isEmpty: Bool { cells.isEmpty }

    /// How many values it has seen.
    package var count: UInt64 { cells.reduce(0) { $0 + ($1 & Self.countMax) } }

    package var bucketCount: Int { cells.count }

    /// The buckets that are not empty, by rising index.
    package var buckets: [(index: Int, count: UInt64)] { cells.map { (Int($0 >> Self.countBits), $0 & Self.countMax) } }

    // MARK: Adding

    /// Sends for the memory that `insert` will need. By the sketch's address, and the array's as it stands there: to borrow
    /// the cells would count a reference in them, and so wait for what is only to be sent for. 128 bytes hold as many
    /// cells as most have.
    @inlinable @inline(__always) package static func prefetch(_ sketch: UnsafePointer<QuantileSketch>) {
        SystemIO.prefetch(UnsafeRawPointer(sketch).load(as: UnsafeRawPointer.self), byteCount: 128)
    }

    /// O(log buckets), and O(buckets) where a bucket is new.
    package mutating func insert(_ value: UInt64) { add(1, at: Self.index(of: value)) }

    /// Forgets what it has seen, and keeps the memory where that is little.
    package mutating func removeAll() { cells.removeAll(keepingCapacity: cells.capacity <= Self.keptBucketsMax) }

    /// Adds what another one has seen. O(buckets of both).
    package mutating func merge(_ other: borrowing QuantileSketch) {
        if other.cells.isEmpty { return }
        if cells.isEmpty {
            cells = other.cells
            return
        }
        // Few into many, most of them known: in place.
        if other.cells.count * 8 <= cells.count {
            for cell in other.cells { add(cell & Self.countMax, at: Int(cell >> Self.countBits)) }
            return
        }
        let known = cells.count
        cells.append(contentsOf: repeatElement(0, count: missing(other)))
        // From the greatest down, so that what is moved up makes room for itself.
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

    /// How many buckets of the other one are not among these.
    private func missing(_ other: borrowing QuantileSketch) -> Int {
        var (count, mine) = (0, 0)
        for cell in other.cells {
            let key = cell & ~Self.countMax
            while mine < cells.count, cells[mine] & ~Self.countMax < key { mine += 1 }
            if mine == cells.count || cells[mine] & ~Self.countMax != key { count += 1 }
        }
        return count
    }

    /// Adds values of a bucket, as `buckets` gave it. `index` is below 65,536.
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

    /// Which of several buckets falls into which does not depend on the order: what is kept apart is always
    /// the highest of all that were ever filled.
    private mutating func collapse() {
        let excess = cells.count - Limits.sketchBucketsMax
        guard excess > 0 else { return }
        for position in 0..<excess { cells[excess] = Self.grown(cells[excess], by: cells[position] & Self.countMax) }
        cells.removeFirst(excess)
    }

    private static func grown(_ cell: UInt64, by count: UInt64) -> UInt64 {
        let (sum, overflow) = (cell & countMax).addingReportingOverflow(count)
        return (cell & ~countMax) | (overflow ? countMax : min(sum, countMax))
    }

    // MARK: Reading

    /// The least value that a share of all, 0 to 1, does not exceed; nil where there are none. O(buckets).
    package func quantile(_ share: Double) -> UInt64? {
        let total = count
        guard total > 0 else { return nil }
        // The least of which at least the share of all is no greater.
        let rank = max(1, (min(max(share, 0), 1) * Double(total)).rounded(.up))
        var seen: UInt64 = 0
        for cell in cells {
            seen += cell & Self.countMax
            if Double(seen) >= rank { return Self.value(at: cell >> Self.countBits) }
        }
        return cells.last.map { Self.value(at: $0 >> Self.countBits) }
    }

    // MARK: The mapping

    private static func index(of value: UInt64) -> Int {
        guard value > 0 else { return 0 }
        let zeros = UInt64(value.leadingZeroBitCount)
        // The 32 bits behind the leading one.
        let fraction = ((value << zeros) << 1) >> 32
        let step = (fraction * bucketsPerDoubling) >> 32
        return Int(1 + (63 - zeros) * bucketsPerDoubling + step)
    }

    /// The value with the least relative error in its bucket: the harmonic mean of the bounds, which is
    /// 1/101 from both at most.
    private static func value(at index: UInt64) -> UInt64 {
        guard index > 0 else { return 0 }
        let (exponent, step) = (index - 1).quotientAndRemainder(dividingBy: bucketsPerDoubling)
        // Small values have buckets of their own, in which only one whole number lies.
        if exponent <= 5 {
            return (((bucketsPerDoubling + step) << exponent) + bucketsPerDoubling - 1) / bucketsPerDoubling
        }
        let scale = Double(sign: .plus, exponent: Int(exponent), significand: 1)
        let lower = scale * (1 + Double(step) / Double(bucketsPerDoubling))
        let upper = scale * (1 + Double(step + 1) / Double(bucketsPerDoubling))
        let middle = (2 * lower * upper / (lower + upper)).rounded()
        return middle < 0x1p64 ? UInt64(middle) : .max
    }

    // MARK: State

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt16(cells.count))
        for cell in cells {
            buffer.append(integer: UInt16(cell >> Self.countBits))
            buffer.append(integer: cell & Self.countMax)
        }
    }

    /// - Throws: `TraceError(.corrupt)` where the bytes are no sketch.
    package init(decoding reader: inout StateReader) throws(TraceError) {
        let count = Int(try reader.integer(UInt16.self))
        guard count <= Limits.sketchBucketsMax else { throw Self.damaged }
        cells.reserveCapacity(count)
        for _ in 0..<count {
            let key = UInt64(try reader.integer(UInt16.self)) << Self.countBits
            let seen = try reader.integer(UInt64.self)
            guard seen <= Self.countMax, cells.last.map({ $0 & ~Self.countMax < key }) ?? true else {
                throw Self.damaged
            }
            cells.append(key | seen)
        }
    }

    private static let damaged = TraceError(.corrupt, "A stored quantile sketch is damaged")
}
