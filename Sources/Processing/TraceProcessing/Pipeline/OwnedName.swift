import SystemIO
import TraceFiles
import TraceModel

/// A name kept beyond the batch it came in. Owns its bytes.
struct OwnedName: ~Copyable {
    private var start: UnsafeMutableRawPointer?
    private var length: Int32
    /// The result of `RawBuffer.isPlainText`, computed once for all rows.
    private(set) var isPlain: Bool
    /// The bytes at `start` that may be used again: `shortBytes`, or none.
    private var room: UInt8 = 0

    /// Names of processes have at most 15 bytes.
    private static var shortBytes: Int { 16 }

    @inline(__always) private var count: Int { Int(length) }

    /// Copies the name.
    init(_ name: ByteView) {
        length = Int32(name.count)
        isPlain = RawBuffer.isPlainText(name)
        guard let source = name.start, name.count > 0 else {
            start = nil
            return
        }
        let isShort = name.count <= Self.shortBytes
        let copy = UnsafeMutableRawPointer.allocate(
            byteCount: isShort ? Self.shortBytes : name.count,
            alignment: 8
        )
        copy.copyMemory(from: source, byteCount: name.count)
        start = copy
        room = isShort ? UInt8(Self.shortBytes) : 0
    }

    /// Becomes a copy of another name, which is not part of this one. Short names use the same memory.
    mutating func set(_ name: ByteView) {
        guard let start, let source = name.start, name.count <= Int(room) else {
            self = OwnedName(name)
            return
        }
        length = Int32(name.count)
        isPlain = RawBuffer.isPlainText(name)
        start.copyMemory(from: source, byteCount: name.count)
    }

    /// Takes the memory of a name that is not needed any more, for `set`, if that is short. This one is empty then.
    mutating func takeMemory(of gone: inout OwnedName) {
        self = OwnedName(.empty)
        guard gone.room > 0 else { return }
        swap(&self, &gone)
        (length, isPlain) = (0, gone.isPlain)
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
