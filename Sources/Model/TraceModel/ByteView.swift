/// Bytes that somebody else owns: valid only as long as the buffer they point into.
/// Trivial, so that decoded events can lie in raw arrays.
@usableFromInline
package struct ByteView {
    @usableFromInline
    package let start: UnsafeRawPointer?
    @usableFromInline
    package let count: Int

    @inlinable
    package init(start: UnsafeRawPointer?, count: Int) {
        self.start = start
        self.count = count
    }

    @inlinable
    package init(_ buffer: UnsafeRawBufferPointer) {
        self.init(start: buffer.baseAddress, count: buffer.count)
    }

    @inlinable
    package static var empty: ByteView { ByteView(start: nil, count: 0) }

    @inlinable
    package var isEmpty: Bool { count == 0 }

    @inlinable
    package var buffer: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start, count: count)
    }

    /// The first `limit` bytes, cut at a boundary of a UTF-8 scalar.
    @inlinable
    @inline(__always)
    package func cut(at limit: Int) -> ByteView {
        count > limit ? beginning(limit) : self
    }

    @inline(never)
    @usableFromInline
    func beginning(_ limit: Int) -> ByteView {
        guard let start else { return self }
        var end = limit
        while end > 0, start.load(fromByteOffset: end, as: UInt8.self) & 0xC0 == 0x80 { end -= 1 }
        return ByteView(start: start, count: end)
    }

    /// A copy as text; invalid UTF-8 becomes U+FFFD.
    package var string: String { String(decoding: buffer, as: UTF8.self) }
}
