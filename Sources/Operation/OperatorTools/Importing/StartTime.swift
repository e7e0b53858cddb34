import Foundation
package import TraceModel

/// A moment as people write it: decimal seconds since the epoch, or ISO 8601 with a zone.
package struct StartTime: Equatable, Sendable {
    package let nanoseconds: EpochNanoseconds

    /// Nil where the text is neither, or before 1970. Seconds are exact to the nanosecond; digits beyond
    /// the ninth are dropped.
    package init?(_ text: String) {
        if let exact = UnitNumber.instant(text) {
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

    private static func iso8601(_ text: String, fraction: Bool) -> Double? {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: fraction)
        return (try? style.parse(text))?.timeIntervalSince1970
    }
}
