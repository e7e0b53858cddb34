import SystemIO

extension RawBuffer {
    /// Text behind its 32-bit length, for `StateReader`.
    mutating func append(counted text: String) {
        append(integer: UInt32(text.utf8.count))
        append(text)
    }
}
