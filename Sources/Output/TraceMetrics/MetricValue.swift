/// The value of one series.
package enum MetricValue: Sendable, Equatable {
    case counter(Double)
    case gauge(Double)
    /// `buckets` holds one count for each bound of the family and a last one for +Inf, none of them cumulative; `sum`
    /// is in the family's unit.
    case histogram(buckets: [UInt64], sum: Double)

    /// Makes a value from its numbers: a double's bit pattern, or the buckets and the bit pattern of the sum.
    init(_ kind: MetricKind, _ numbers: ArraySlice<UInt64>) {
        let last = Double(bitPattern: numbers.last ?? 0)
        self =
            switch kind {
            case .counter: .counter(last)
            case .gauge: .gauge(last)
            case .histogram: .histogram(buckets: Array(numbers.dropLast()), sum: last)
            }
    }

    /// The numbers from which `init` makes this value.
    var numbers: [UInt64] {
        switch self {
        case .counter(let value), .gauge(let value): [value.bitPattern]
        case .histogram(let buckets, let sum): buckets + [sum.bitPattern]
        }
    }

    package var kind: MetricKind {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .histogram: .histogram
        }
    }

    /// Adds another source's value. Counters and histograms are summed; of gauges, `other` is taken. Values of
    /// different kinds or bucket counts leave `self` as it is: they can't come from one family.
    package mutating func add(_ other: MetricValue) {
        switch (self, other) {
        case (.counter(let mine), .counter(let theirs)): self = .counter(mine + theirs)
        case (.gauge, .gauge(let theirs)): self = .gauge(theirs)
        case (.histogram(var mine, let sum), .histogram(let theirs, let theirSum)):
            guard mine.count == theirs.count else { return }
            for index in mine.indices { mine[index] &+= theirs[index] }
            self = .histogram(buckets: mine, sum: sum + theirSum)
        default: return
        }
    }

    /// Returns the greater of each number, for a sum that must never fall. For gauges it is `other`.
    func highest(_ other: MetricValue) -> MetricValue {
        switch (self, other) {
        case (.counter(let mine), .counter(let theirs)): .counter(max(mine, theirs))
        case (.histogram(let mine, let sum), .histogram(let theirs, let theirSum)):
            .histogram(buckets: zip(mine, theirs).map(max), sum: max(sum, theirSum))
        default: other
        }
    }

    /// Whether this value may have grown from `other`: no count is less.
    func isAtLeast(_ other: MetricValue) -> Bool {
        switch (self, other) {
        case (.counter(let mine), .counter(let theirs)): mine >= theirs
        case (.histogram(let mine, _), .histogram(let theirs, _)):
            zip(mine, theirs).allSatisfy { $0 >= $1 }
        default: false
        }
    }

    /// Takes the later of two readings of one cumulative value, in whichever order they came. For gauges it is `other`.
    package mutating func advance(to other: MetricValue) {
        switch (self, other) {
        case (.counter(let mine), .counter(let theirs)): self = .counter(max(mine, theirs))
        case (.gauge, .gauge): self = other
        case (.histogram(let mine, _), .histogram(let theirs, _)):
            guard mine.count == theirs.count else { return }
            if theirs.reduce(0, &+) > mine.reduce(0, &+) { self = other }
        default: return
        }
    }
}

/// Writes numbers as Prometheus does.
enum ExpositionNumber {
    /// Appends a sample's value: integers as such, others with the fewest digits that read back the same.
    static func append(_ value: Double, to bytes: inout [UInt8]) {
        if value.isFinite, value == value.rounded(), abs(value) < 9_007_199_254_740_992 {
            append(Int64(value), to: &bytes)
        } else if value.isFinite {
            bytes.append(contentsOf: "\(value)".utf8)
        } else if value.isNaN {
            bytes.append(contentsOf: "NaN".utf8)
        } else {
            bytes.append(contentsOf: (value > 0 ? "+Inf" : "-Inf").utf8)
        }
    }

    static func append(_ value: Int64, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(value.magnitude, to: &bytes)
    }

    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        if value < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(value))
            return
        }
        var rest = value
        let start = bytes.count
        while rest > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        }
        bytes[start...].reverse()
    }

    /// Formats a bucket's bound as the original's client library and OpenMetrics do: `1.0`, `0.0001`, and with an
    /// exponent from a million upwards.
    static func bound(_ value: Double) -> String {
        let text = "\(value)"
        guard let dot = text.firstIndex(of: "."), !text.contains("e"),
            text.distance(from: text.startIndex, to: dot) > 6
        else { return text }
        let whole = text[..<dot]
        var digits = whole.dropFirst() + text[text.index(after: dot)...]
        while digits.last == "0" { digits.removeLast() }
        let exponent = whole.count - 1
        let mantissa = digits.isEmpty ? "\(whole.prefix(1))" : "\(whole.prefix(1)).\(digits)"
        return mantissa + "e+" + (exponent < 10 ? "0" : "") + "\(exponent)"
    }
}
