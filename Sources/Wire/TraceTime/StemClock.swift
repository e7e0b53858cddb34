import Glibc
package import TraceModel

/// Writes times into file names: `YYYYmmdd_HHMMSS` in the configured zone.
package struct StemClock: Sendable {
    private let zone: TimeZoneRules

    package init(zone: TimeZoneRules) { self.zone = zone }

    /// Two times within one second, or within an hour repeated at the end of summer time, may give the
    /// same text: a name needs a number besides.
    package func text(_ time: EpochNanoseconds) -> String {
        let second = Int(time) / 1_000_000_000
        var local = time_t(second + zone.offset(atEpochSecond: second))
        var parts = tm()
        gmtime_r(&local, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date =
            padded(parts.tm_year + 1_900, 4) + padded(parts.tm_mon + 1, 2)
            + padded(parts.tm_mday, 2)
        let clock = padded(parts.tm_hour, 2) + padded(parts.tm_min, 2) + padded(parts.tm_sec, 2)
        return date + "_" + clock
    }
}
