public import CLinux
import TraceModel

/// A growable array of trivial elements without reference counting or uniqueness checks, for the hot path. Owns its
/// memory.
@safe @usableFromInline package struct RawArray<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline package private(set) var base: UnsafeMutablePointer<Element>
    @usableFromInline package private(set) var capacity: Int
    @usableFromInline package private(set) var count = 0

    /// Without capacity it takes no memory before the first element.
    @usableFromInline package init(capacity: Int = 64) {
        precondition(capacity >= 0)
        self.capacity = capacity
        unsafe base = Self.allocate(capacity)
    }

    deinit { if capacity > 0 { unsafe base.deallocate() } }

    /// Of no elements an address that is never accessed.
    private static func allocate(_ capacity: Int) -> UnsafeMutablePointer<Element> {
        if capacity > 0 { return .allocate(capacity: capacity) }
        let address = MemoryLayout<Element>.alignment
        guard let base = unsafe UnsafeMutablePointer<Element>(bitPattern: address) else {
            preconditionFailure("an alignment is not 0")
        }
        return unsafe base
    }

    /// Bounds are not checked in a release build.
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

    /// A view of the elements, valid until the next append.
    @inlinable package var elements: UnsafeMutableBufferPointer<Element> {
        unsafe UnsafeMutableBufferPointer(start: base, count: count)
    }

    /// Appends one element.
    @inlinable package mutating func append(_ element: Element) {
        if count == capacity { grow() }
        unsafe (base + count).initialize(to: element)
        count &+= 1
    }

    /// Appends copies of elements in other memory.
    @inlinable package mutating func append(contentsOf source: UnsafeBufferPointer<Element>) {
        guard let first = source.baseAddress else { return }
        while capacity &- count < source.count { grow() }
        unsafe (base + count).update(from: first, count: source.count)
        count &+= source.count
    }

    /// Removes all elements, keeps the memory.
    @inlinable package mutating func removeAll() { count = 0 }

    /// Removes the last elements.
    @inlinable package mutating func removeLast(_ dropped: Int = 1) {
        assert(dropped >= 0 && dropped <= count)
        count &-= dropped
    }

    /// Removes the first `prefix` elements and moves the rest down. O(rest).
    package mutating func removeFirst(_ prefix: Int) {
        precondition(prefix >= 0 && prefix <= count)
        unsafe base.update(from: base + prefix, count: count - prefix)
        count -= prefix
    }

    /// Releases memory beyond `keeping` elements if the array is empty.
    package mutating func shrink(keeping: Int) {
        guard count == 0, capacity > keeping else { return }
        unsafe base.deallocate()
        capacity = keeping
        unsafe base = Self.allocate(keeping)
    }

    @inline(never) @usableFromInline mutating func grow() {
        let larger = unsafe Self.allocate(max(2 * capacity, 1))
        unsafe larger.update(from: base, count: count)
        if capacity > 0 { unsafe base.deallocate() }
        unsafe base = larger
        capacity = max(2 * capacity, 1)
    }
}

/// Prefetches memory that is needed soon into the cache. It reads nothing, so any address is valid.
@inlinable @inline(__always) package func prefetch(_ start: UnsafeRawPointer, byteCount: Int = 1) {
    let lineBytes = 64
    var offset = 0
    while offset < byteCount {
        unsafe trace_prefetch(start + offset)
        offset += lineBytes
    }
}

/// Settings of the C library's allocator, which Swift and the C libraries use.
package enum Heap {
    /// Limits the memory that the heap keeps after a peak. To be called before any thread starts.
    ///
    /// By default each thread has an arena and keeps the memory of its peak in it. In the router, where one thread
    /// allocates batches and another one frees them, that was up to half of the memory.
    ///
    /// Blocks of at least `mappedBytesMin` get their own pages, which return to the system when they are freed, and
    /// grow by remapping instead of copying. The kernel zeroes such pages, so the threshold must be above what is
    /// allocated all the time.
    package static func setUp(mappedBytesMin: Int) {
        let spareBytesMax = Limits.heapSpareBytesMax
        let isKnown = trace_set_up_heap(Int32(mappedBytesMin), Int32(spareBytesMax)) == 1
        assert(isKnown, "glibc supports these settings")
    }
}
