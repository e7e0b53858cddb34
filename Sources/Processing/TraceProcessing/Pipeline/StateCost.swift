/// What entries of the state's tables cost in bytes, as budgets are charged: what they take in memory with what the
/// allocator and half-empty tables add, rounded up. Constants, so that a worker that restarts counts as one that did not.
enum StateCost {
    /// A process beside its own memory: its places in tables and lists, small tables of its own.
    static var process: Int { 512 }

    /// An entry of an index table that is between a quarter and half full.
    @inline(__always) static var index: Int { 48 }

    /// What the allocator adds to a piece of memory.
    @inline(__always) static var allocation: Int { 16 }

    /// A piece of memory of its own for so many bytes of a name.
    @inline(__always) static func name(_ count: Int) -> Int { (count + 31) & ~15 }

    /// What most quantile sketches take: 32 buckets. More is given back when the window ends.
    @inline(__always) static var sketch: Int { 32 * 8 + 48 }
}
