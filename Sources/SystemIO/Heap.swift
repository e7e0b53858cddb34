import CLinux

/// The C library's allocator, which Swift's and the C libraries' memory comes from.
package enum Heap {
    /// Lets what one thread gave back serve the others. Each thread would have an arena of its own else, and keep in it
    /// what it needed at its busiest: of the router's memory, whose batches are taken by one thread and given back by
    /// another, that was up to a half. To be called before any thread starts.
    package static func useOneArena() {
        let isKnown = trace_use_one_arena() == 1
        assert(isKnown, "glibc has arenas")
    }
}
