import SystemIO
import TraceFiles
import TraceModel

/// A name kept beyond the batch it came in. Owns its bytes.
struct OwnedName: ~Copyable {
    private let start: UnsafeMutableRawPointer?
    private let length: Int32
    /// As `RawBuffer.isPlainText`: found out once for all rows it will stand in.
    let isPlain: Bool

    @inline(__always)
    private var count: Int { Int(length) }

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

    /// Valid as long as this lives.
    @inline(__always)
    var view: ByteView { ByteView(start: start, count: count) }

    @inline(__always)
    borrowing func equals(_ other: ByteView) -> Bool {
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

/// Compares eight bytes at a time: names are short, and a call would cost more.
@inline(__always)
func memoryEquals(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
    var at = 0
    while count - at >= 8 {
        if left.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            != right.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        {
            return false
        }
        at += 8
    }
    while at < count {
        if left.load(fromByteOffset: at, as: UInt8.self)
            != right.load(fromByteOffset: at, as: UInt8.self)
        {
            return false
        }
        at += 1
    }
    return true
}
