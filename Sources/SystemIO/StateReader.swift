package import TraceModel

/// Reads back what `RawBuffer` wrote: little-endian integers and byte runs, every length checked.
/// The bytes must outlive the reader.
@safe
package struct StateReader {
    private let source: UnsafeRawBufferPointer
    private var at = 0

    package init(_ source: UnsafeRawBufferPointer) { unsafe self.source = source }

    package init(_ view: ByteView) { unsafe self.init(view.buffer) }

    package var isAtEnd: Bool { remaining == 0 }

    package var remaining: Int { unsafe source.count - at }

    /// - Throws: `TraceError(.corrupt)` where the bytes end before the integer does.
    package mutating func integer<Integer: FixedWidthInteger>(
        _: Integer.Type
    ) throws(TraceError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard remaining >= size else { throw Self.cutOff }
        defer { at += size }
        return unsafe Integer(
            littleEndian: source.loadUnaligned(fromByteOffset: at, as: Integer.self)
        )
    }

    /// The next `count` bytes, in place.
    /// - Throws: `TraceError(.corrupt)` where there are fewer.
    package mutating func bytes(_ count: Int) throws(TraceError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw Self.cutOff }
        defer { at += count }
        return unsafe UnsafeRawBufferPointer(rebasing: source[at..<at + count])
    }

    /// A run of bytes with its length (u32) before it.
    package mutating func counted() throws(TraceError) -> UnsafeRawBufferPointer {
        unsafe try bytes(Int(try integer(UInt32.self)))
    }

    /// A text with its length (u32) before it; invalid UTF-8 is repaired.
    package mutating func text() throws(TraceError) -> String {
        unsafe String(decoding: try counted(), as: UTF8.self)
    }

    private static let cutOff = TraceError(.corrupt, "Stored state ends too early")
}
