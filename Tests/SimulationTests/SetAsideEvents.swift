import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// Reads the numbers of the events in valid dead letters.
enum SetAsideEvents {
    static func numbers() throws -> [Int] {
        let suffix = DeadLetterName.sidecarSuffix
        return try FileSystem.list(ClusterPaths.deadLetters).filter { $0.hasSuffix(suffix) }.flatMap
        { file in
            guard let name = DeadLetterName(file.dropLast(suffix.count)) else {
                throw SimulationError("\(file) is no dead letter")
            }
            guard FileSystem.exists(name.batches) else {
                throw SimulationError("\(name) counts and has no events")
            }
            return try numbers(in: FileSystem.contents(name.batches))
        }
    }

    private static func numbers(in letter: [UInt8]) throws -> [Int] {
        try letter.withUnsafeBytes { bytes in
            var found: [Int] = []
            var at = 0
            while at < bytes.count {
                let length = varint(bytes, &at)
                found += try numbers(of: UnsafeRawBufferPointer(rebasing: bytes[at..<at + length]))
                at += length
            }
            return found
        }
    }

    private static func numbers(of batch: UnsafeRawBufferPointer) throws -> [Int] {
        var index = EventIndex()
        _ = try BatchScanner.scan(batch, into: &index)
        return (0..<index.count).map { position in
            // Tag, length, payload.
            var at = Int(index[position].offset)
            _ = varint(batch, &at)
            let length = varint(batch, &at)
            let payload = UnsafeRawBufferPointer(rebasing: batch[at..<at + length])
            // The event's number is its byte count minus 1.
            return Int(IOEvent(decoding: ByteView(payload)).byteCount) - 1
        }
    }

    private static func varint(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> Int {
        var (value, shift) = (0, 0)
        repeat {
            value |= Int(bytes[at] & 0x7F) << shift
            shift += 7
            at += 1
        } while bytes[at - 1] & 0x80 != 0
        return value
    }
}
