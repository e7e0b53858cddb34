/// Writes the store's saved form: little-endian base-128 numbers, eight-byte doubles, and each distinct text
/// once, by its number.
struct StateWriter {
    private var body: [UInt8] = []
    private var texts: [UInt8] = []
    private var numbers: [String: Int] = [:]

    mutating func write(_ value: UInt64) { Self.append(value, to: &body) }

    mutating func write(_ value: Int) { write(UInt64(value)) }

    mutating func write(_ value: Bool) { write(value ? UInt64(1) : 0) }

    mutating func write(_ value: Double) {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { body.append(contentsOf: $0) }
    }

    mutating func write(_ text: String) {
        if let number = numbers[text] {
            write(number)
            return
        }
        let number = numbers.count
        numbers[text] = number
        write(number)
        Self.append(UInt64(text.utf8.count), to: &texts)
        texts.append(contentsOf: text.utf8)
    }

    mutating func write(_ key: SeriesKey) {
        write(UInt64(key.family.rawValue))
        for label in key.labels { write(label) }
    }

    /// The family's kind and number of buckets need not be written.
    mutating func write(_ value: MetricValue) {
        switch value {
        case .counter(let number), .gauge(let number):
            write(number)
        case .histogram(let buckets, let sum):
            for bucket in buckets { write(bucket) }
            write(sum)
        }
    }

    mutating func write(_ values: [SeriesKey: MetricValue]) {
        write(values.count)
        for (key, value) in values.sorted(by: { SeriesKey.areInOrder($0.key, $1.key) }) {
            write(key)
            write(value)
        }
    }

    /// The texts first, so that they can be read before they are referred to.
    consuming func finish(magic: [UInt8]) -> [UInt8] {
        var bytes = magic
        Self.append(UInt64(numbers.count), to: &bytes)
        bytes.append(contentsOf: texts)
        bytes.append(contentsOf: body)
        return bytes
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
