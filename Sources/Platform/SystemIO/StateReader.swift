public import TraceModel

/// Versions of the state that workers save, as checkpoints and hand-over files name them.
package enum StateVersion {
    /// Of 0.1.0: before dialects, names, self time and suppressed findings.
    package static let beforeDialects: UInt32 = 6
    /// 7 was never released, and is not read.
    package static let current: UInt32 = 8
}

/// Reads back what `RawBuffer` wrote: little-endian integers and byte runs, every length checked.
/// The bytes must outlive the reader.
@safe @usableFromInline package struct StateReader {
    @usableFromInline let source: UnsafeRawBufferPointer
    @usableFromInline var at = 0
    /// The version of the state being read. Decoders branch on it where a field was added or changed. Whoever opens a
    /// checkpoint or a hand-over file of an earlier version sets it before decoding slots.
    package var version = StateVersion.current

    package init(_ source: UnsafeRawBufferPointer) { unsafe self.source = source }

    package init(_ view: ByteView) { unsafe self.init(view.buffer) }

    package var isAtEnd: Bool { remaining == 0 }

    @inlinable package var remaining: Int { unsafe source.count - at }

    /// - Throws: `TraceError(.corrupt)` where the bytes end before the integer does.
    @inlinable package mutating func integer<Integer: FixedWidthInteger>(_: Integer.Type) throws(TraceError) -> Integer
    {
        let size = MemoryLayout<Integer>.size
        guard remaining >= size else { throw Self.cutOff }
        defer { at += size }
        return unsafe Integer(littleEndian: source.loadUnaligned(fromByteOffset: at, as: Integer.self))
    }

    /// What `RawBuffer.append(varint:)` wrote.
    /// - Throws: `TraceError(.corrupt)` where the bytes end before it does, or it is too large.
    package mutating func varint() throws(TraceError) -> UInt64 {
        guard let number = unsafe Varint.read(source, at: &at) else { throw Self.notANumber }
        return number
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
    package mutating func text() throws(TraceError) -> String { unsafe String(decoding: try counted(), as: UTF8.self) }

    private static let notANumber = TraceError(.corrupt, "Stored state has no number where one belongs")
    @usableFromInline static var cutOff: TraceError { TraceError(.corrupt, "Stored state ends too early") }
}
