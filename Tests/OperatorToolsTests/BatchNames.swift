import TraceModel
import TraceWire

/// Reads back what a batch says beside its events.
enum BatchNames {
    /// Its names as `<process> <thread> <name> <sort index>`.
    static func read(_ batch: [UInt8]) throws -> [String] {
        var index = EventIndex()
        return try batch.withUnsafeBytes { bytes in
            let summary = try BatchScanner.scan(bytes, into: &index)
            return summary.names.map { entry in
                let start = Int(entry.offset)
                let field = UnsafeRawBufferPointer(
                    rebasing: bytes[start..<start + Int(entry.length)]
                )
                // The tag takes two bytes, the length one or two.
                let lengthBytes = field[2] < 0x80 ? 1 : 2
                let name = NameEvent(
                    decoding: ByteView(
                        UnsafeRawBufferPointer(rebasing: field[(2 + lengthBytes)...])
                    )
                )
                return "\(name.processID) \(name.threadID) \(name.name.string) \(name.sortIndex)"
            }
        }
    }

    static func semantics(_ batch: [UInt8]) throws -> Semantics? {
        var index = EventIndex()
        return try batch.withUnsafeBytes { try BatchScanner.scan($0, into: &index).semantics }
    }
}
