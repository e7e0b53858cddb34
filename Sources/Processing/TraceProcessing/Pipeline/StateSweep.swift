import TraceModel

/// Decides which entries are evicted from a state that has grown too large: the least recently used.
///
/// A sweep has two passes over the same entries in the same order. The first notes each entry's last use and size
/// (`note`). `decide` then finds the age from which entries are evicted. The second pass asks for each entry whether
/// it is evicted (`takes`). Ages are counted in buckets whose width is at most 3 % of the age, so a sweep needs no
/// sorting. Of the bucket at the edge, the entries visited first are evicted until enough is freed.
///
/// A pure value: the same entries in the same order give the same answer, so that a replay evicts the same ones.
struct StateSweep {
    /// The time of an entry's last use, in steps of 17 ms of batch arrival. Wraps after two years.
    typealias Stamp = UInt32

    /// Returns the stamp for entries used by a batch with this arrival.
    @inline(__always) static func stamp(_ arrival: EpochNanoseconds) -> Stamp {
        Stamp(truncatingIfNeeded: arrival >> 24)
    }

    /// The time of the sweep.
    private let now: Stamp
    private var bytesByAge = [Int](repeating: 0, count: Self.bucketCount)
    /// Entries of buckets above this one are evicted.
    private var edge = Self.bucketCount
    /// Bytes still to be freed from the bucket at the edge.
    private var left = 0

    init(at arrival: EpochNanoseconds) { now = Self.stamp(arrival) }

    /// First pass: notes an entry that can be evicted.
    @inline(__always) mutating func note(_ used: Stamp, bytes: Int) {
        bytesByAge[bucket(used)] += bytes
    }

    /// Ends the first pass: entries of `bytes` in total are to be evicted, or all of them if there are fewer.
    mutating func decide(freeing bytes: Int) {
        left = bytes
        while edge > 0 {
            edge -= 1
            guard left > bytesByAge[edge] else { return }
            left -= bytesByAge[edge]
        }
    }

    /// Second pass: returns whether an entry is evicted.
    @inline(__always) mutating func takes(_ used: Stamp, bytes: Int) -> Bool {
        let bucket = bucket(used)
        guard bucket > edge || (bucket == edge && left > 0) else { return false }
        if bucket == edge { left -= bytes }
        return true
    }

    // MARK: Buckets

    /// One bucket for each of the first 64 steps, then 32 for each doubling.
    private static var bucketCount: Int { 64 + 26 * 32 }

    @inline(__always) private func bucket(_ used: Stamp) -> Int {
        // After a clock was set back, some stamps are later than now.
        let age = Int(max(Int32(truncatingIfNeeded: now &- used), 0))
        if age < 64 { return age }
        let octave = Int.bitWidth - 1 - age.leadingZeroBitCount
        return 64 + (octave - 6) * 32 + (age >> (octave - 5)) - 32
    }
}
