import SystemIO
import TraceFiles
import TraceModel

/// A name kept beyond the batch it came in. Owns its bytes.
struct OwnedName: ~Copyable {
    private let start: UnsafeMutableRawPointer?
    private let length: Int32
    /// The result of `RawBuffer.isPlainText`, computed once for all rows.
    let isPlain: Bool

    @inline(__always) private var count: Int { Int(length) }

    /// Copies the name.
    init(_ name: ByteView) {
        length = Int32(name.count)
        isPlain = RawBuffer.isPlainText(name)
        guard let source = name.start, name.count > 0 else {
            start = nil
            return
        }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: name.count, alignment: 8)
        copy.copyMemory(from: source, byteCount: name.count)
        start = copy
    }

    deinit { start?.deallocate() }

    /// The bytes, valid as long as this value lives.
    @inline(__always) var view: ByteView { ByteView(start: start, count: count) }

    @inline(__always) borrowing func equals(_ other: ByteView) -> Bool {
        guard other.count == count else { return false }
        guard let start, let other = other.start else { return true }
        return memoryEquals(start, other, count)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        buffer.append(view.buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let count = Int(try reader.integer(UInt32.self))
        self.init(ByteView(try reader.bytes(count)))
    }
}

/// Compares eight bytes at a time; the last eight may overlap. Names are short, so a call of `memcmp` would cost
/// more.
@inline(__always) func memoryEquals(
    _ left: UnsafeRawPointer,
    _ right: UnsafeRawPointer,
    _ count: Int
) -> Bool {
    guard count >= 8 else { return shortEquals(left, right, count) }
    var at = 0
    while at < count &- 8 {
        guard isEqual(UInt64.self, left, right, at) else { return false }
        at &+= 8
    }
    return isEqual(UInt64.self, left, right, count &- 8)
}

/// Compares up to seven bytes.
@inline(__always) private func shortEquals(
    _ left: UnsafeRawPointer,
    _ right: UnsafeRawPointer,
    _ count: Int
) -> Bool {
    if count >= 4 {
        return isEqual(UInt32.self, left, right, 0) && isEqual(UInt32.self, left, right, count &- 4)
    }
    for at in 0..<count { guard isEqual(UInt8.self, left, right, at) else { return false } }
    return true
}

@inline(__always) private func isEqual<Word: FixedWidthInteger>(
    _: Word.Type,
    _ left: UnsafeRawPointer,
    _ right: UnsafeRawPointer,
    _ at: Int
) -> Bool {
    left.loadUnaligned(fromByteOffset: at, as: Word.self)
        == right.loadUnaligned(fromByteOffset: at, as: Word.self)
}
