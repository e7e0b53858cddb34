/// Numbers as Prometheus writes them.
enum NumberText {
    /// A sample's value: whole numbers as such, others with the fewest digits that read back the same.
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

    /// A bucket's bound, as the original's client library and OpenMetrics write it: `1.0`, `0.0001`, and an
    /// exponent from a million up.
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
