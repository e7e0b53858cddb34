/// Bytes that budgets are charged for entries of the state's tables: their memory, with the overhead of the allocator
/// and of half-empty tables, rounded up. Constants, so that a restarted worker counts exactly as one that did not
/// restart.
enum StateCost {
    /// A process beside its own memory: its places in tables and lists, and small tables of its own.
    static var process: Int { 512 }

    /// An entry of an index table that is between a quarter and half full.
    @inline(__always) static var index: Int { 48 }

    /// The allocator's overhead per allocation.
    @inline(__always) static var allocation: Int { 16 }

    /// Returns the cost of a separate allocation for a name of `count` bytes.
    @inline(__always) static func name(_ count: Int) -> Int { (count + 31) & ~15 }

    /// The cost of most quantile sketches: 32 buckets. Larger ones are given back when the window ends.
    @inline(__always) static var sketch: Int { 32 * 8 + 48 }
}
