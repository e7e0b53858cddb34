import TraceModel

/// What stands beside the events of a serialized `TraceBatch`, read without decoding the events.
package struct BatchEnvelope: Equatable, Sendable {
    package private(set) var events = 0
    package private(set) var hasClientID = false
    package private(set) var hasSequence = false

    /// Walks the outermost fields. Throws `TraceError` (invalidArgument) naming the offset where the
    /// bytes can't be a `TraceBatch`.
    package init(_ batch: [UInt8]) throws {
        var position = 0
        while position < batch.count {
            let start = position
            guard let tag = Self.varint(batch, &position), tag >> 3 != 0 else {
                throw Self.malformed(at: start)
            }
            guard let length = Self.payloadLength(wireType: tag & 7, batch, &position),
                length <= batch.count - position
            else { throw Self.malformed(at: start) }
            try note(field: tag >> 3, wireType: tag & 7, isEmpty: length == 0, at: start)
            position += length
        }
    }

    /// True where the server would not recognize a second copy and the sender may name it.
    package var isAnonymous: Bool { !hasClientID && !hasSequence }

    private mutating func note(
        field: UInt64,
        wireType: UInt64,
        isEmpty: Bool,
        at offset: Int
    ) throws {
        switch field {
        case 1...6:
            guard wireType == 2 else { throw Self.malformed(at: offset) }
            events += 1
        case 100:
            hasClientID = !isEmpty
        case 101:
            hasSequence = true
        default:
            break
        }
    }

    /// Bytes of payload after the tag and, where there is one, the length; varints are consumed here.
    private static func payloadLength(
        wireType: UInt64,
        _ batch: [UInt8],
        _ position: inout Int
    ) -> Int? {
        switch wireType {
        case 0: varint(batch, &position).map { _ in 0 }
        case 1: 8
        case 2: varint(batch, &position).flatMap { Int(exactly: $0) }
        case 5: 4
        default: nil
        }
    }

    static func varint(_ bytes: [UInt8], _ position: inout Int) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        return nil
    }

    private static func malformed(at offset: Int) -> TraceError {
        TraceError(
            .invalidArgument,
            "not a TraceBatch: malformed field at byte \(offset)",
            remedy: "A file with several batches needs the ending .pbs and a length before each"
        )
    }
}
