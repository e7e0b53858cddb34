import CLinux
import TraceModel

/// The C library's allocator, which Swift's and the C libraries' memory comes from.
package enum Heap {
    /// Bounds what the heap keeps of what was once needed. To be called before any thread starts.
    ///
    /// Each thread would have an arena of its own else, and keep in it what it needed at its busiest: of the router's memory,
    /// whose batches are taken by one thread and given back by another, that was up to a half.
    ///
    /// `mappedBytesMin`: blocks of this size have pages of their own, which go back to the system with them, and grow by
    /// moving instead of copying. The system zeroes each: not for what comes and goes all the time.
    package static func setUp(mappedBytesMin: Int) {
        let spareBytesMax = Limits.heapSpareBytesMax
        let isKnown = trace_set_up_heap(Int32(mappedBytesMin), Int32(spareBytesMax)) == 1
        assert(isKnown, "glibc has these settings")
    }
}
