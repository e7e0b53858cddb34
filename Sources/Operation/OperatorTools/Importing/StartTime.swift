import Foundation
package import TraceModel

/// A moment as people write it: decimal seconds since the epoch, or ISO 8601 with a zone.
package struct StartTime: Equatable, Sendable {
    package let nanoseconds: EpochNanoseconds

    /// Nil where the text is neither, or before 1970. Seconds are exact to the nanosecond; digits beyond
    /// the ninth are dropped.
    package init?(_ text: String) {
        if let exact = Self.decimalSeconds(text) {
            nanoseconds = exact
            return
        }
        let seconds =
            Double(text) ?? Self.iso8601(text, fraction: false)
            ?? Self.iso8601(text, fraction: true)
        guard let seconds, seconds >= 0,
            let microseconds = Int64(exactly: (seconds * 1e6).rounded()),
            microseconds < .max / 1000
        else { return nil }
        nanoseconds = microseconds * 1000
    }

    private static func decimalSeconds(_ text: String) -> EpochNanoseconds? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ isDigits($0) }), let seconds = Int64(parts[0]),
            seconds < Int64.max / 1_000_000_000
        else { return nil }
        let digits = parts.count == 2 ? String(parts[1].prefix(9)) : ""
        let fraction = digits + String(repeating: "0", count: 9 - digits.count)
        return Int64(fraction).map { seconds * 1_000_000_000 + $0 }
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func iso8601(_ text: String, fraction: Bool) -> Double? {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: fraction)
        return (try? style.parse(text))?.timeIntervalSince1970
    }
}
