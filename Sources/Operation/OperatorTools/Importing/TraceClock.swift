package import TraceModel

/// Reads and writes the times of recordings.
package enum TraceClock {
    /// Converts decimal microseconds to nanoseconds: exactly with at most three decimals, otherwise rounded. Nil if
    /// the text is not such a number or is out of range.
    package static func nanoseconds(microseconds text: [UInt8]) -> Int64? {
        var value: Int64 = 0
        var decimals = -1
        var overflow = false
        for (index, byte) in text.enumerated() {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                // A fourth decimal needs rounding.
                if decimals == 3 { return rounded(text) }
                append(byte - UInt8(ascii: "0"), to: &value, &overflow)
                if decimals >= 0 { decimals += 1 }
            case UInt8(ascii: ".") where decimals < 0 && index > 0: decimals = 0
            default: return rounded(text)
            }
        }
        for _ in max(0, decimals)..<3 { append(0, to: &value, &overflow) }
        return text.isEmpty || overflow ? nil : value
    }

    /// A decimal number without its fraction; nil where the text is none, or out of range.
    static func wholePart(of text: [UInt8]) -> Int64? {
        let parts = text.split(
            separator: UInt8(ascii: "."),
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        let isPlain = parts.count < 2 || parts[1].allSatisfy { (0x30...0x39).contains($0) }
        if isPlain, let whole = parts.first { return Int64(String(decoding: whole, as: UTF8.self)) }
        return Double(String(decoding: text, as: UTF8.self)).flatMap {
            Int64(exactly: $0.rounded(.towardZero))
        }
    }

    private static func append(_ digit: UInt8, to value: inout Int64, _ overflow: inout Bool) {
        let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 10)
        let (sum, tooLargeToo) = shifted.addingReportingOverflow(Int64(digit))
        value = sum
        overflow = overflow || tooLarge || tooLargeToo
    }

    private static func rounded(_ text: [UInt8]) -> Int64? {
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else {
            return nil
        }
        return Int64(exactly: (value * 1000).rounded())
    }

    /// Decimal seconds since the epoch with as many decimals as it takes: six or nine.
    package static func epochSeconds(_ time: EpochNanoseconds) -> String {
        let (seconds, fraction) = (max(0, time) / 1_000_000_000, max(0, time) % 1_000_000_000)
        let (value, width) = fraction % 1000 == 0 ? (fraction / 1000, 6) : (fraction, 9)
        let digits = String(value)
        return "\(seconds)." + String(repeating: "0", count: width - digits.count) + digits
    }
}
