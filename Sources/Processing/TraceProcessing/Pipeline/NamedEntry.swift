import SystemIO
import TraceModel

/// An entry of a `NamedTable`, which owns its name.
protocol NamedEntry: ~Copyable {
    /// Creates an entry with a copy of the name.
    init(name: ByteView)

    /// Becomes what `init(name:)` creates. Memory may be kept for it.
    mutating func restart(name: ByteView)

    /// The name, valid as long as the entry lives.
    var name: ByteView { get }

    borrowing func encode(into buffer: inout RawBuffer)

    /// Decodes what `encode` has written.
    /// - Throws: `TraceError(.corrupt)` if the bytes are not valid state.
    init(decoding reader: inout StateReader) throws(TraceError)
}

extension NamedEntry where Self: ~Copyable {
    mutating func restart(name: ByteView) { self = Self(name: name) }

    @inline(__always) borrowing func isNamed(_ other: ByteView) -> Bool {
        let own = name
        guard own.count == other.count else { return false }
        guard let left = own.start, let right = other.start else { return true }
        return memoryEquals(left, right, own.count)
    }
}
