/// `grpc.health.v1.HealthCheckResponse`, which holds one number.
package enum HealthStatus: UInt8, Sendable {
    case unknown = 0
    case serving = 1
    case notServing = 2
    case serviceUnknown = 3

    package init(isServing: Bool) { self = isServing ? .serving : .notServing }

    package init?(decoding bytes: [UInt8]) {
        let value = WireFields(bytes[...]).first { $0.number == 1 }?.varint ?? 0
        guard let raw = UInt8(exactly: value) else { return nil }
        self.init(rawValue: raw)
    }

    package func encoded() -> [UInt8] {
        var writer = WireWriter()
        writer.add(1, varint: UInt64(rawValue))
        return writer.bytes
    }
}
