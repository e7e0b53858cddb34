import SystemIO
import TraceModel

/// What a `NamedTable` keeps under a name: owns the name.
protocol NamedEntry: ~Copyable {
    /// Copies the name.
    init(name: ByteView)

    /// Valid as long as the entry lives.
    var name: ByteView { get }

    borrowing func encode(into buffer: inout RawBuffer)

    /// - Throws: `TraceError(.corrupt)` where the bytes are no state.
    init(decoding reader: inout StateReader) throws(TraceError)
}

extension NamedEntry where Self: ~Copyable {
    @inline(__always) borrowing func isNamed(_ other: ByteView) -> Bool {
        let own = name
        guard own.count == other.count else { return false }
        guard let left = own.start, let right = other.start else { return true }
        return memoryEquals(left, right, own.count)
    }
}
