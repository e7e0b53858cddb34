import CChecksum
import Glibc

/// A growable run of bytes without reference counting: what the hot path writes into.
/// Owns its memory; a view from `bytes` is valid until the next append.
@safe @usableFromInline package struct RawBuffer: ~Copyable {
    @usableFromInline package private(set) var base: UnsafeMutableRawPointer
    @usableFromInline package private(set) var capacity: Int
    @usableFromInline package private(set) var count: Int = 0

    /// `alignment` 4096 where the bytes go to a file opened for direct I/O.
    package init(capacity: Int = 4096, alignment: Int = heapAlignment) {
        precondition(capacity > 0)
        self.capacity = capacity
        self.alignment = alignment
        unsafe base = Self.allocate(capacity, alignment: alignment)
    }

    private let alignment: Int
    /// What `malloc` gives.
    @usableFromInline static var heapAlignment: Int { 16 }

    deinit { unsafe free(base) }

    private static func allocate(_ count: Int, alignment: Int) -> UnsafeMutableRawPointer {
        unsafe held(
            alignment <= heapAlignment
                ? malloc(count) : aligned_alloc(alignment, (count + alignment - 1) / alignment * alignment))
    }

    /// As with Swift's own allocations: nobody goes on without memory.
    private static func held(_ memory: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        guard let memory = unsafe memory else { preconditionFailure("out of memory") }
        return unsafe memory
    }

    /// What has been written so far.
    @inlinable package var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

    /// The same, to be overwritten in place.
    @inlinable package var mutableBytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    /// Makes room for `extra` more bytes and returns where they go; `commit` makes them count.
    @inlinable package mutating func reserve(_ extra: Int) -> UnsafeMutableRawPointer {
        if count &+ extra > capacity { grow(toFit: count + extra) }
        return unsafe base + count
    }

    /// Counts `extra` bytes written where `reserve` said.
    @inlinable package mutating func commit(_ extra: Int) {
        count &+= extra
        assert(count <= capacity)
    }

    @inlinable package mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        let extra = source.count
        unsafe reserve(extra).copyMemory(from: start, byteCount: extra)
        commit(extra)
    }

    /// In line, so that a literal's length is a constant and its copy a few stores.
    @inlinable @inline(__always) package mutating func append(_ text: StaticString) {
        let extra = text.utf8CodeUnitCount
        unsafe reserve(extra).copyMemory(from: text.utf8Start, byteCount: extra)
        commit(extra)
    }

    /// Copies a String's UTF-8; not for the hot path: a literal goes to the one above.
    @_disfavoredOverload package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    @inlinable package mutating func append(byte: UInt8) {
        unsafe reserve(1).storeBytes(of: byte, as: UInt8.self)
        commit(1)
    }

    /// Little-endian, unaligned.
    @inlinable package mutating func append<Integer: FixedWidthInteger>(integer: Integer) {
        unsafe reserve(MemoryLayout<Integer>.size).storeBytes(of: integer.littleEndian, as: Integer.self)
        commit(MemoryLayout<Integer>.size)
    }

    /// Seven bits a byte, the lowest first; small numbers take one byte.
    @inlinable @inline(__always) package mutating func append(varint number: UInt64) {
        let place = unsafe reserve(10)
        var rest = number
        var count = 0
        while rest >= 0x80 {
            unsafe place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            rest >>= 7
            count &+= 1
        }
        unsafe place.storeBytes(of: UInt8(rest), toByteOffset: count, as: UInt8.self)
        commit(count + 1)
    }

    /// Bytes with their length (u32) before them.
    package mutating func append(counted bytes: [UInt8]) {
        append(integer: UInt32(bytes.count))
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// A text with its length in UTF-8 (u32) before it.
    package mutating func append(counted text: String) {
        append(integer: UInt32(text.utf8.count))
        append(text)
    }

    /// The same of another buffer's content.
    package mutating func append(counted other: borrowing RawBuffer) {
        append(integer: UInt32(other.count))
        unsafe append(other.bytes)
    }

    /// Forgets the content, keeps the memory.
    @inlinable package mutating func removeAll() { count = 0 }

    /// Keeps the first `newCount` bytes.
    @inlinable package mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    /// Drops the first `prefix` bytes and moves the rest down. O(rest).
    package mutating func removeFirst(_ prefix: Int) {
        precondition(prefix >= 0 && prefix <= count)
        unsafe base.copyMemory(from: base + prefix, byteCount: count - prefix)
        count -= prefix
    }

    /// Gives memory beyond `keeping` bytes back once the content is gone.
    package mutating func shrink(keeping: Int) {
        guard count == 0, capacity > keeping else { return }
        unsafe free(base)
        capacity = keeping
        unsafe base = Self.allocate(keeping, alignment: alignment)
    }

    @inline(never) @usableFromInline mutating func grow(toFit needed: Int) {
        var larger = capacity
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

/// CRC-32C of some bytes.
package enum Checksum {
    /// `before`: the checksum of what stands in front of these bytes.
    package static func crc32c(_ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0) -> UInt32 {
        unsafe trace_crc32c(before, bytes.baseAddress, bytes.count)
    }
}
