/// Walks the fields of a protobuf message; ends early where the bytes are damaged. For descriptors and
/// other small messages.
struct WireFields: Sequence, IteratorProtocol {
    struct Field {
        let number: Int
        /// The value of a number, else 0.
        let varint: UInt64
        /// The payload of text, bytes, or a message, else empty.
        let bytes: ArraySlice<UInt8>
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func next() -> Field? {
        guard let key = varint() else { return nil }
        let number = Int(truncatingIfNeeded: key >> 3)
        switch key & 7 {
        case 0:
            return varint().map { Field(number: number, varint: $0, bytes: []) }
        case 1:
            return take(8).map { _ in Field(number: number, varint: 0, bytes: []) }
        case 2:
            guard let count = varint(), count <= UInt64(rest.count) else { return nil }
            return take(Int(count)).map { Field(number: number, varint: 0, bytes: $0) }
        case 5:
            return take(4).map { _ in Field(number: number, varint: 0, bytes: []) }
        default:
            return nil
        }
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard rest.count >= count else { return nil }
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return taken
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}

/// Writes protobuf fields one after another.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func add(_ number: Int, varint value: UInt64) {
        guard value != 0 else { return }
        append(varint: UInt64(number << 3))
        append(varint: value)
    }

    mutating func add(_ number: Int, bytes payload: [UInt8]) {
        append(varint: UInt64(number << 3 | 2))
        append(varint: UInt64(payload.count))
        bytes += payload
    }

    private mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
