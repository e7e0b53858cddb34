import TraceModel

/// Reads back what `RawBuffer.append(integer:)` and length-prefixed bytes wrote. Bounds are checked:
/// whatever the bytes are, it throws `corrupt` and never reads outside them.
struct StateReader {
    private let view: ByteView
    private var position = 0

    init(_ view: ByteView) { self.view = view }

    var isAtEnd: Bool { position == view.count }

    mutating func integer<Integer: FixedWidthInteger>(
        _: Integer.Type
    ) throws(TraceError) -> Integer {
        let size = MemoryLayout<Integer>.size
        let bytes = try take(size)
        guard let start = bytes.start else { return 0 }
        return Integer(littleEndian: start.loadUnaligned(as: Integer.self))
    }

    /// Bytes behind a 32-bit length, borrowed from the view.
    mutating func bytes() throws(TraceError) -> ByteView {
        try take(Int(try integer(UInt32.self)))
    }

    mutating func string() throws(TraceError) -> String { try bytes().string }

    private mutating func take(_ count: Int) throws(TraceError) -> ByteView {
        guard count <= view.count - position, let start = view.start else {
            throw TraceError(.corrupt, "the saved state of trace files ends too early")
        }
        defer { position += count }
        return ByteView(start: start + position, count: count)
    }
}
