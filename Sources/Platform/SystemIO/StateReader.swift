public import TraceModel

/// Versions of the workers' saved state, as recorded in checkpoints and hand-over files.
package enum StateVersion {
    /// Version of release 0.1.0: without dialects, names, self time and suppressed findings.
    package static let beforeDialects: UInt32 = 6
    /// Versions 7 and 8 were never released and are not supported.
    /// In version 9 findings are counted by slot and rule, without hosts.
    package static let beforeHosts: UInt32 = 9
    package static let current: UInt32 = 10
}

/// Reads what `RawBuffer` wrote: little-endian integers and byte runs, with all lengths checked. The bytes must outlive
/// the reader.
@safe @usableFromInline package struct StateReader {
    @usableFromInline let source: UnsafeRawBufferPointer
    @usableFromInline var at = 0
    /// Version of the state being read. Decoders branch on it where a field was added or changed. To be set before
    /// decoding the slots of a checkpoint or hand-over file of an earlier version.
    package var version = StateVersion.current

    package init(_ source: UnsafeRawBufferPointer) { unsafe self.source = source }

    package init(_ view: ByteView) { unsafe self.init(view.buffer) }

    package var isAtEnd: Bool { remaining == 0 }

    @inlinable package var remaining: Int { unsafe source.count - at }

    /// Reads a little-endian integer.
    /// - Throws: `TraceError(.corrupt)` if too few bytes are left.
    @inlinable package mutating func integer<Integer: FixedWidthInteger>(
        _: Integer.Type
    ) throws(TraceError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard remaining >= size else { throw Self.cutOff }
        defer { at += size }
        return unsafe Integer(
            littleEndian: source.loadUnaligned(fromByteOffset: at, as: Integer.self)
        )
    }

    /// Reads what `RawBuffer.append(varint:)` wrote.
    /// - Throws: `TraceError(.corrupt)` if the bytes end within it or it is too large.
    package mutating func varint() throws(TraceError) -> UInt64 {
        guard let number = unsafe Varint.read(source, at: &at) else { throw Self.notANumber }
        return number
    }

    /// Returns the next `count` bytes in place.
    /// - Throws: `TraceError(.corrupt)` if there are fewer.
    package mutating func bytes(_ count: Int) throws(TraceError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw Self.cutOff }
        defer { at += count }
        return unsafe UnsafeRawBufferPointer(rebasing: source[at..<at + count])
    }

    /// Reads bytes preceded by their length (u32).
    package mutating func counted() throws(TraceError) -> UnsafeRawBufferPointer {
        unsafe try bytes(Int(try integer(UInt32.self)))
    }

    /// Reads a text preceded by its length (u32); invalid UTF-8 is repaired.
    package mutating func text() throws(TraceError) -> String {
        unsafe String(decoding: try counted(), as: UTF8.self)
    }

    private static let notANumber = TraceError(.corrupt, "Stored state contains an invalid number")
    @usableFromInline static var cutOff: TraceError {
        TraceError(.corrupt, "Stored state is truncated")
    }
}
