import TraceModel

/// Bytes received and not yet understood: less than a head and one read.
struct HTTPInput: Sendable {
    private var bytes: [UInt8] = []

    var hasRoom: Bool { bytes.count < Limits.httpHeadBytesMax }

    mutating func append(_ more: [UInt8]) { bytes += more }

    /// The next head without the empty line behind it; nil where it is not complete.
    mutating func takeHead() -> String? {
        let mark: [UInt8] = [13, 10, 13, 10]
        guard bytes.count >= mark.count else { return nil }
        for start in 0...(bytes.count - mark.count) where bytes[start...].starts(with: mark) {
            let head = String(decoding: bytes[..<start], as: UTF8.self)
            bytes.removeFirst(start + mark.count)
            return head
        }
        return nil
    }
}
