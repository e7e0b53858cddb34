/// Writes protobuf fields one by one, so that a test can write wrong ones too.
struct WireBuilder {
    var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    mutating func tag(_ field: UInt32, _ wireType: UInt32) {
        varint(UInt64(field) << 3 | UInt64(wireType))
    }

    mutating func integer(_ field: UInt32, _ value: UInt64) {
        tag(field, 0)
        varint(value)
    }

    mutating func double(_ field: UInt32, _ value: Double) {
        tag(field, 1)
        fixed(value.bitPattern, bytes: 8)
    }

    mutating func fixed(_ value: UInt64, bytes count: Int) {
        for index in 0..<count {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
        }
    }

    mutating func payload(_ field: UInt32, _ payload: some Collection<UInt8>) {
        tag(field, 2)
        varint(UInt64(payload.count))
        bytes += payload
    }

    mutating func text(_ field: UInt32, _ text: String) { payload(field, Array(text.utf8)) }

    mutating func message(_ field: UInt32, _ body: (inout WireBuilder) -> Void) {
        var inner = WireBuilder()
        body(&inner)
        payload(field, inner.bytes)
    }

    static func batch(_ body: (inout WireBuilder) -> Void) -> [UInt8] {
        var builder = WireBuilder()
        body(&builder)
        return builder.bytes
    }
}
