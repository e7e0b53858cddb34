import TraceModel

/// Iterates over the fields of a protobuf message and stops at damaged bytes. For descriptors and other small messages.
struct WireFields: Sequence, IteratorProtocol {
    /// A field with its number and value.
    struct Field {
        let number: Int
        /// The value of a varint, else 0.
        let varint: UInt64
        /// The payload of a text, bytes or message field, else empty.
        let bytes: ArraySlice<UInt8>
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func next() -> Field? {
        guard let key = varint() else { return nil }
        let number = Int(truncatingIfNeeded: key >> 3)
        switch key & 7 {
        case 0: return varint().map { Field(number: number, varint: $0, bytes: []) }
        case 1: return take(8).map { _ in Field(number: number, varint: 0, bytes: []) }
        case 2:
            guard let count = varint(), count <= UInt64(rest.count) else { return nil }
            return take(Int(count)).map { Field(number: number, varint: 0, bytes: $0) }
        case 5: return take(4).map { _ in Field(number: number, varint: 0, bytes: []) }
        default: return nil
        }
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard rest.count >= count else { return nil }
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return taken
    }

    private mutating func varint() -> UInt64? {
        var position = rest.startIndex
        defer { rest = rest[position...] }
        return Varint.read(rest, at: &position)
    }
}

/// Appends protobuf fields.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func add(_ number: Int, varint value: UInt64) {
        guard value != 0 else { return }
        Varint.append(UInt64(number << 3), to: &bytes)
        Varint.append(value, to: &bytes)
    }

    mutating func add(_ number: Int, bytes payload: [UInt8]) {
        Varint.append(UInt64(number << 3 | 2), to: &bytes)
        Varint.append(UInt64(payload.count), to: &bytes)
        bytes += payload
    }
}
