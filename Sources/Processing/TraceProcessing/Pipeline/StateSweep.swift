import TraceModel

/// Decides which entries of a state that has grown too large give way: those used least recently.
///
/// A sweep has two passes over the same entries in the same order. The first notes when each was used last and what it
/// takes (`note`). `decide` then finds how old an entry has to be to give way. The second pass asks for each entry
/// whether it goes (`takes`). Ages are sorted into buckets whose width is 3 % of the age or less, so that a sweep takes
/// no sorting; of the bucket at the edge the entries visited first go, until enough is freed.
///
/// A pure value: the same entries in the same order give the same answer, so that a replay gives up the same ones.
struct StateSweep {
    /// When an entry was used last, in steps of 17 ms of the arrival of batches. Wraps after two years.
    typealias Stamp = UInt32

    /// The stamp of what is used by a batch that arrived then.
    @inline(__always) static func stamp(_ arrival: EpochNanoseconds) -> Stamp {
        Stamp(truncatingIfNeeded: arrival >> 24)
    }

    /// The sweep's own time.
    private let now: Stamp
    private var bytesByAge = [Int](repeating: 0, count: Self.bucketCount)
    /// Entries of older buckets go.
    private var edge = Self.bucketCount
    /// Bytes that entries of the bucket at the edge still have to free.
    private var left = 0

    init(at arrival: EpochNanoseconds) { now = Self.stamp(arrival) }

    /// The first pass: an entry that can give way.
    @inline(__always) mutating func note(_ used: Stamp, bytes: Int) {
        bytesByAge[bucket(used)] += bytes
    }

    /// Ends the first pass: entries of so many bytes are to go, or all of them where there are no more.
    mutating func decide(freeing bytes: Int) {
        left = bytes
        while edge > 0 {
            edge -= 1
            guard left > bytesByAge[edge] else { return }
            left -= bytesByAge[edge]
        }
    }

    /// The second pass: whether an entry goes.
    @inline(__always) mutating func takes(_ used: Stamp, bytes: Int) -> Bool {
        let bucket = bucket(used)
        guard bucket > edge || (bucket == edge && left > 0) else { return false }
        if bucket == edge { left -= bytes }
        return true
    }

    // MARK: Buckets

    /// One bucket for each of the first 64 steps, then 32 to each doubling.
    private static var bucketCount: Int { 64 + 26 * 32 }

    @inline(__always) private func bucket(_ used: Stamp) -> Int {
        // A clock that was set back makes some stamps later than now.
        let age = Int(max(Int32(truncatingIfNeeded: now &- used), 0))
        if age < 64 { return age }
        let octave = Int.bitWidth - 1 - age.leadingZeroBitCount
        return 64 + (octave - 6) * 32 + (age >> (octave - 5)) - 32
    }
}
