import TraceModel

/// Reads what `StateWriter` wrote. Every wrong length, number or family is a `.corrupt` error.
struct StateReader {
    private let bytes: [UInt8]
    private var position = 0
    private var texts: [String] = []

    init(_ bytes: [UInt8], magic: [UInt8]) throws(TraceError) {
        self.bytes = bytes
        guard bytes.starts(with: magic) else { throw Self.damaged("its header") }
        position = magic.count
        let count = try readCount()
        texts.reserveCapacity(count)
        for _ in 0..<count {
            let length = try readCount()
            let text = bytes[position..<position + length]
            texts.append(String(decoding: text, as: UTF8.self))
            position += length
        }
    }

    static func damaged(_ what: String) -> TraceError {
        TraceError(.corrupt, "the saved metrics are damaged: \(what)")
    }

    mutating func readNumber() throws(TraceError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < bytes.count else { throw Self.damaged("they end early") }
            let byte = bytes[position]
            position += 1
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw Self.damaged("a number")
    }

    /// A number of things that follow, of at least one byte each: so a wrong one can't ask for memory.
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

    mutating func readDouble() throws(TraceError) -> Double {
        guard bytes.count - position >= 8 else { throw Self.damaged("they end early") }
        var pattern: UInt64 = 0
        for index in 0..<8 { pattern |= UInt64(bytes[position + index]) << UInt64(index * 8) }
        position += 8
        return Double(bitPattern: pattern)
    }

    mutating func readText() throws(TraceError) -> String {
        let number = try readNumber()
        guard number < UInt64(texts.count) else { throw Self.damaged("a text") }
        return texts[Int(number)]
    }

    private mutating func readKey() throws(TraceError) -> SeriesKey {
        let raw = try readNumber()
        guard let family = UInt16(exactly: raw).flatMap(MetricFamily.init(rawValue:)) else {
            throw Self.damaged("there is no metric family \(raw)")
        }
        var labels: [String] = []
        for _ in family.descriptor.labels { labels.append(try readText()) }
        return SeriesKey(family: family, labels: labels)
    }

    /// A series and its value, well-formed.
    mutating func readSample() throws(TraceError) -> (key: SeriesKey, value: MetricValue) {
        let key = try readKey()
        let value = try readValue(of: key.family)
        let sample = MetricSample(family: key.family, labels: key.labels, value: value)
        guard sample.isWellFormed else { throw Self.damaged("a value of \(key.family)") }
        return (key, value)
    }

    private mutating func readValue(of family: MetricFamily) throws(TraceError) -> MetricValue {
        let descriptor = family.descriptor
        switch descriptor.kind {
        case .counter: return .counter(try readDouble())
        case .gauge: return .gauge(try readDouble())
        case .histogram:
            var buckets: [UInt64] = []
            for _ in 0...descriptor.bounds.count { buckets.append(try readNumber()) }
            return .histogram(buckets: buckets, sum: try readDouble())
        }
    }

    mutating func readValues() throws(TraceError) -> [SeriesKey: MetricValue] {
        var values: [SeriesKey: MetricValue] = [:]
        for _ in 0..<(try readCount()) {
            let (key, value) = try readSample()
            values[key] = value
        }
        return values
    }

    func expectEnd() throws(TraceError) {
        guard position == bytes.count else { throw Self.damaged("bytes after their end") }
    }
}
