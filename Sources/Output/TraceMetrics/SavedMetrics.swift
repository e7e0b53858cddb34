import TraceModel

/// Writes the store's saved form: little-endian base-128 numbers. A text is written as its number, followed by the text
/// itself where it is new.
struct SavedMetricsWriter {
    private(set) var bytes: [UInt8]
    private var numbers: [TextKey: Int] = [:]

    /// Starts behind `head`.
    init(_ head: [UInt8]) { bytes = head }

    mutating func write(_ value: UInt64) { Varint.append(value, to: &bytes) }

    mutating func write(_ value: Int) { write(UInt64(value)) }

    mutating func write(_ value: Bool) { write(value ? UInt64(1) : 0) }

    /// Writes a double's bit pattern with its bytes swapped: those of integers end in zeros, which makes the number
    /// short.
    private mutating func write(bits value: UInt64) { write(value.byteSwapped) }

    /// Writes the numbers of a value; the last one is a double's bit pattern.
    mutating func write(numbers: ArraySlice<UInt64>) {
        for number in numbers.dropLast() { write(number) }
        if let last = numbers.last { write(bits: last) }
    }

    /// Writes a text and returns its number, which may be written in its place from then on.
    @discardableResult mutating func write(_ text: String) -> Int {
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

    /// Writes a value. Kind and number of buckets follow from the family.
    mutating func write(_ value: MetricValue) { write(numbers: value.numbers[...]) }

    mutating func write(_ values: [SeriesKey: MetricValue]) {
        write(values.count)
        for (key, value) in values.sorted(by: { SeriesKey.areInOrder($0.key, $1.key) }) {
            write(key)
            write(value)
        }
    }
}

/// Reads what `SavedMetricsWriter` wrote. Every wrong length, number or family is a `.corrupt` error.
struct SavedMetricsReader {
    private let bytes: [UInt8]
    private var position = 0
    private var texts: [String] = []
    /// False for a format in which anomalies have no host; it is empty then.
    var hasHostsOfAnomalies = true

    init(_ bytes: [UInt8], magic: [UInt8]) throws(TraceError) {
        self.bytes = bytes
        guard bytes.starts(with: magic) else { throw Self.damaged("its header") }
        position = magic.count
    }

    static func damaged(_ what: String) -> TraceError {
        TraceError(.corrupt, "the saved metrics are damaged: \(what)")
    }

    mutating func readNumber() throws(TraceError) -> UInt64 {
        guard let value = Varint.read(bytes, at: &position) else { throw Self.damaged("a number") }
        return value
    }

    /// Reads a count of items that follow, each of at least one byte. The check against the bytes left keeps a wrong
    /// count from allocating memory.
    mutating func readCount() throws(TraceError) -> Int {
        let value = try readNumber()
        guard value <= UInt64(bytes.count - position) else { throw Self.damaged("a count") }
        return Int(value)
    }

    mutating func readBool() throws(TraceError) -> Bool {
        let value = try readNumber()
        guard value <= 1 else { throw Self.damaged("a flag") }
        return value == 1
    }

    mutating func readText() throws(TraceError) -> String {
        let number = try readNumber()
        if number < UInt64(texts.count) { return texts[Int(number)] }
        guard number == UInt64(texts.count) else { throw Self.damaged("a text") }
        let length = try readCount()
        texts.append(String(decoding: bytes[position..<position + length], as: UTF8.self))
        position += length
        return texts[texts.count - 1]
    }

    mutating func readFamily() throws(TraceError) -> MetricFamily {
        let raw = try readNumber()
        guard let family = UInt16(exactly: raw).flatMap(MetricFamily.init(rawValue:)) else {
            throw Self.damaged("there is no metric family \(raw)")
        }
        return family
    }

    /// Reads labels and value of a series and checks them.
    mutating func readLabelsAndValue(
        of family: MetricFamily
    ) throws(TraceError) -> (labels: [String], value: MetricValue) {
        var labels = family == .anomaliesTotal && !hasHostsOfAnomalies ? [""] : []
        for _ in family.descriptor.labels.dropFirst(labels.count) { labels.append(try readText()) }
        let value = try readValue(of: family)
        let sample = MetricSample(family: family, labels: labels, value: value)
        guard sample.isWellFormed else { throw Self.damaged("a value of \(family)") }
        return (labels, value)
    }

    private mutating func readValue(of family: MetricFamily) throws(TraceError) -> MetricValue {
        let numbers = try readNumbers(Int(MetricCatalog.valueCounts[Int(family.rawValue)]))
        return MetricValue(family.descriptor.kind, numbers[...])
    }

    /// Reads the numbers of a value; the last one is a double's bit pattern.
    mutating func readNumbers(_ count: Int) throws(TraceError) -> [UInt64] {
        var numbers: [UInt64] = []
        for _ in 1..<count { numbers.append(try readNumber()) }
        numbers.append(try readNumber().byteSwapped)
        return numbers
    }

    mutating func readValues() throws(TraceError) -> [SeriesKey: MetricValue] {
        var values: [SeriesKey: MetricValue] = [:]
        for _ in 0..<(try readCount()) {
            let family = try readFamily()
            let (labels, value) = try readLabelsAndValue(of: family)
            values[SeriesKey(family: family, labels: labels)] = value
        }
        return values
    }

    func expectEnd() throws(TraceError) {
        guard position == bytes.count else { throw Self.damaged("bytes after their end") }
    }
}
