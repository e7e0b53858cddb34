import TraceModel

/// Writes the store's saved form: little-endian base-128 numbers, and each distinct text by its number, which
/// it follows where it is new.
struct StateWriter {
    private(set) var bytes: [UInt8]
    private var numbers: [TextKey: Int] = [:]

    /// Behind `head`.
    init(_ head: [UInt8]) { bytes = head }

    mutating func write(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func write(_ value: Int) { write(UInt64(value)) }

    mutating func write(_ value: Bool) { write(value ? UInt64(1) : 0) }

    /// A double's bit pattern, its end first: those of whole numbers end in zeros.
    private mutating func write(bits value: UInt64) { write(value.byteSwapped) }

    /// The numbers of a value: the last one is a double's pattern.
    mutating func write(numbers: ArraySlice<UInt64>) {
        for number in numbers.dropLast() { write(number) }
        if let last = numbers.last { write(bits: last) }
    }

    /// Returns the text's number, which may be written in its place from then on.
    @discardableResult
    mutating func write(_ text: String) -> Int {
        let key = TextKey(text)
        if let number = numbers[key] {
            write(number)
            return number
        }
        let number = numbers.count
        numbers[key] = number
        write(number)
        write(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
        return number
    }

    mutating func write(_ key: SeriesKey) {
        write(UInt64(key.family.rawValue))
        for label in key.labels { write(label) }
    }

    /// The family's kind and number of buckets need not be written.
    mutating func write(_ value: MetricValue) {
        write(numbers: value.numbers[...])
    }

    mutating func write(_ values: [SeriesKey: MetricValue]) {
        write(values.count)
        for (key, value) in values.sorted(by: { SeriesKey.areInOrder($0.key, $1.key) }) {
            write(key)
            write(value)
        }
    }
}
