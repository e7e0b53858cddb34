public import CLinux
import TraceModel

/// A growable run of trivial elements without reference counting or checks of uniqueness: what the hot
/// path keeps beside its bytes. Owns its memory.
@safe @usableFromInline package struct RawArray<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline package private(set) var base: UnsafeMutablePointer<Element>
    @usableFromInline package private(set) var capacity: Int
    @usableFromInline package private(set) var count = 0

    @usableFromInline package init(capacity: Int = 64) {
        precondition(capacity > 0)
        self.capacity = capacity
        unsafe base = .allocate(capacity: capacity)
    }

    deinit { unsafe base.deallocate() }

    /// Not checked in a release build.
    @inlinable package subscript(position: Int) -> Element {
        get {
            assert(position >= 0 && position < count)
            return unsafe base[position]
        }
        nonmutating set {
            assert(position >= 0 && position < count)
            unsafe base[position] = newValue
        }
    }

    /// Valid until the next append.
    @inlinable package var elements: UnsafeMutableBufferPointer<Element> {
        unsafe UnsafeMutableBufferPointer(start: base, count: count)
    }

    @inlinable package mutating func append(_ element: Element) {
        if count == capacity { grow() }
        unsafe (base + count).initialize(to: element)
        count &+= 1
    }

    /// Copies elements of other memory.
    @inlinable package mutating func append(contentsOf source: UnsafeBufferPointer<Element>) {
        guard let first = source.baseAddress else { return }
        while capacity &- count < source.count { grow() }
        unsafe (base + count).update(from: first, count: source.count)
        count &+= source.count
    }

    /// Forgets the content, keeps the memory.
    @inlinable package mutating func removeAll() { count = 0 }

    /// Drops the last elements.
    @inlinable package mutating func removeLast(_ dropped: Int = 1) {
        assert(dropped >= 0 && dropped <= count)
        count &-= dropped
    }

    /// Drops the first `prefix` elements and moves the rest down. O(rest).
    package mutating func removeFirst(_ prefix: Int) {
        precondition(prefix >= 0 && prefix <= count)
        unsafe base.update(from: base + prefix, count: count - prefix)
        count -= prefix
    }

    /// Gives memory beyond `keeping` elements back once the content is gone.
    package mutating func shrink(keeping: Int) {
        guard count == 0, capacity > keeping else { return }
        unsafe base.deallocate()
        capacity = keeping
        unsafe base = .allocate(capacity: keeping)
    }

    @inline(never) @usableFromInline mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = larger
        capacity *= 2
    }
}

/// Asks the processor for memory that will be needed soon, so that it is on its way meanwhile. Reads nothing:
/// any address will do.
@inlinable @inline(__always) package func prefetch(_ start: UnsafeRawPointer, byteCount: Int = 1) {
    let lineBytes = 64
    var offset = 0
    while offset < byteCount {
        unsafe trace_prefetch(start + offset)
        offset += lineBytes
    }
}

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
