import CChecksum
import Glibc

/// A growable byte buffer without reference counting, for the hot path. Owns its memory; a view from `bytes` is valid
/// until the next append.
@safe @usableFromInline package struct RawBuffer: ~Copyable {
    @usableFromInline package private(set) var base: UnsafeMutableRawPointer
    @usableFromInline package private(set) var capacity: Int
    @usableFromInline package private(set) var count: Int = 0

    /// Creates a buffer. `alignment` is 4096 for direct I/O.
    package init(capacity: Int = 4096, alignment: Int = heapAlignment) {
        precondition(capacity > 0)
        self.capacity = capacity
        self.alignment = alignment
        unsafe base = Self.allocate(capacity, alignment: alignment)
    }

    private let alignment: Int
    /// The alignment of `malloc`.
    @usableFromInline static var heapAlignment: Int { 16 }

    deinit { unsafe free(base) }

    private static func allocate(_ count: Int, alignment: Int) -> UnsafeMutableRawPointer {
        unsafe held(
            alignment <= heapAlignment
                ? malloc(count)
                : aligned_alloc(alignment, (count + alignment - 1) / alignment * alignment)
        )
    }

    /// Traps if there is no memory, as Swift's own allocations do.
    private static func held(_ memory: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        guard let memory = unsafe memory else { preconditionFailure("out of memory") }
        return unsafe memory
    }

    /// A view of the bytes written so far.
    @inlinable package var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: count)
    }

    /// The same bytes, mutable in place.
    @inlinable package var mutableBytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    /// Ensures room for `extra` more bytes and returns their address; `commit` adds them.
    @inlinable package mutating func reserve(_ extra: Int) -> UnsafeMutableRawPointer {
        if count &+ extra > capacity { grow(toFit: count + extra) }
        return unsafe base + count
    }

    /// Adds `extra` bytes written at the address from `reserve`.
    @inlinable package mutating func commit(_ extra: Int) {
        count &+= extra
        assert(count <= capacity)
    }

    /// Appends a copy of the bytes.
    @inlinable package mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        let extra = source.count
        unsafe reserve(extra).copyMemory(from: start, byteCount: extra)
        commit(extra)
    }

    /// Inlined so that a literal's length is a constant and its copy a few stores.
    @inlinable @inline(__always) package mutating func append(_ text: StaticString) {
        let extra = text.utf8CodeUnitCount
        unsafe reserve(extra).copyMemory(from: text.utf8Start, byteCount: extra)
        commit(extra)
    }

    /// Appends a String's UTF-8; not for the hot path. Literals use the overload above.
    @_disfavoredOverload package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends one byte.
    @inlinable package mutating func append(byte: UInt8) {
        unsafe reserve(1).storeBytes(of: byte, as: UInt8.self)
        commit(1)
    }

    /// Appends an integer, little-endian and unaligned.
    @inlinable package mutating func append<Integer: FixedWidthInteger>(integer: Integer) {
        unsafe reserve(MemoryLayout<Integer>.size).storeBytes(
            of: integer.littleEndian,
            as: Integer.self
        )
        commit(MemoryLayout<Integer>.size)
    }

    /// Appends a base-128 number: seven bits per byte, lowest first.
    @inlinable @inline(__always) package mutating func append(varint number: UInt64) {
        let target = unsafe reserve(10)
        var rest = number
        var count = 0
        while rest >= 0x80 {
            unsafe target.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80,
                toByteOffset: count,
                as: UInt8.self
            )
            rest >>= 7
            count &+= 1
        }
        unsafe target.storeBytes(of: UInt8(rest), toByteOffset: count, as: UInt8.self)
        commit(count + 1)
    }

    /// Appends bytes preceded by their length (u32).
    package mutating func append(counted bytes: [UInt8]) {
        append(integer: UInt32(bytes.count))
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends a text preceded by its UTF-8 length (u32).
    package mutating func append(counted text: String) {
        append(integer: UInt32(text.utf8.count))
        append(text)
    }

    /// Appends another buffer's content preceded by its length (u32).
    package mutating func append(counted other: borrowing RawBuffer) {
        append(integer: UInt32(other.count))
        unsafe append(other.bytes)
    }

    /// Removes all bytes, keeps the memory.
    @inlinable package mutating func removeAll() { count = 0 }

    /// Keeps only the first `newCount` bytes.
    @inlinable package mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    /// Removes the first `prefix` bytes and moves the rest down. O(rest).
    package mutating func removeFirst(_ prefix: Int) {
        precondition(prefix >= 0 && prefix <= count)
        unsafe base.copyMemory(from: base + prefix, byteCount: count - prefix)
        count -= prefix
    }

    /// Releases memory beyond `keeping` bytes if the buffer is empty.
    package mutating func shrink(keeping: Int) {
        guard count == 0, capacity > keeping else { return }
        unsafe free(base)
        capacity = keeping
        unsafe base = Self.allocate(keeping, alignment: alignment)
    }

    @inline(never) @usableFromInline mutating func grow(toFit needed: Int) {
        var larger = max(capacity, Self.heapAlignment)
        while larger < needed { larger *= 2 }
        capacity = larger
        if alignment <= Self.heapAlignment {
            // Large blocks grow without a copy.
            unsafe base = Self.held(realloc(base, larger))
            return
        }
        let moved = unsafe Self.allocate(larger, alignment: alignment)
        unsafe moved.copyMemory(from: base, byteCount: count)
        unsafe free(base)
        unsafe base = moved
    }
}

/// CRC-32C checksums.
package enum Checksum {
    /// Returns the checksum of `bytes`, continuing from the checksum `before` of the preceding bytes.
    package static func crc32c(_ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0) -> UInt32
    {
        unsafe trace_crc32c(before, bytes.baseAddress, bytes.count)
    }
}
