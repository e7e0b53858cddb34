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
