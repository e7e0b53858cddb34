import TraceModel

extension ByteView {
    /// A view of a literal's bytes.
    @inline(__always) init(_ literal: StaticString) {
        self.init(start: UnsafeRawPointer(literal.utf8Start), count: literal.utf8CodeUnitCount)
    }

    @inline(__always) func equals(_ literal: StaticString) -> Bool {
        guard let start, count == literal.utf8CodeUnitCount else { return false }
        return memoryEquals(start, literal.utf8Start, count)
    }
}
