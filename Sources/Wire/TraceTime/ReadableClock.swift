import Glibc
package import TraceModel

/// Formats `HH:MM:SS.mmm` in the configured zone, the readable time of an event.
@usableFromInline package struct ReadableClock {
    @inlinable package static var byteCount: Int { 12 }

    private let zone: TimeZoneRules
    /// Range of minutes since the epoch whose offset is known.
    private var cachedMinute = Int.min
    private var cachedOffset = 0

    package init(zone: TimeZoneRules) { self.zone = zone }

    /// Writes `byteCount` bytes to `target`, truncated to milliseconds. Does not allocate.
    package mutating func write(_ time: EpochNanoseconds, to target: UnsafeMutableRawPointer) {
        // Rounds down, also before 1970.
        let milliseconds = (Int(time) &- (time < 0 ? 999_999 : 0)) / 1_000_000
        let seconds = (milliseconds &- (milliseconds < 0 ? 999 : 0)) / 1_000
        let minute = (seconds &- (seconds < 0 ? 59 : 0)) / 60
        if minute != cachedMinute {
            cachedOffset = zone.offset(atEpochSecond: minute * 60)
            cachedMinute = minute
        }
        let local = (seconds &+ cachedOffset) % 86_400
        let secondOfDay = local < 0 ? local &+ 86_400 : local
        let minuteOfDay = secondOfDay / 60
        let millisecond = milliseconds &- seconds &* 1_000
        unsafe twoDigits(minuteOfDay / 60, target)
        unsafe twoDigits(minuteOfDay % 60, target + 3)
        unsafe twoDigits(secondOfDay % 60, target + 6)
        unsafe target.storeBytes(of: UInt8(ascii: ":"), toByteOffset: 2, as: UInt8.self)
        unsafe target.storeBytes(of: UInt8(ascii: ":"), toByteOffset: 5, as: UInt8.self)
        unsafe target.storeBytes(of: UInt8(ascii: "."), toByteOffset: 8, as: UInt8.self)
        unsafe target.storeBytes(of: ascii(millisecond / 100), toByteOffset: 9, as: UInt8.self)
        unsafe twoDigits(millisecond % 100, target + 10)
    }

    @inline(__always) private func twoDigits(_ value: Int, _ target: UnsafeMutableRawPointer) {
        unsafe target.storeBytes(of: ascii(value / 10), as: UInt8.self)
        unsafe target.storeBytes(of: ascii(value % 10), toByteOffset: 1, as: UInt8.self)
    }

    @inline(__always) private func ascii(_ digit: Int) -> UInt8 {
        UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
    }
}

/// Formats times in file names: `YYYYmmdd_HHMMSS` in the configured zone.
package struct StemClock: Sendable {
    private let zone: TimeZoneRules

    package init(zone: TimeZoneRules) { self.zone = zone }

    /// Returns the text. Two times in one second, or in the hour repeated at the end of daylight saving time, may give
    /// the same text, so a file name needs a number besides.
    package func text(_ time: EpochNanoseconds) -> String {
        let second = Int(time) / 1_000_000_000
        var local = time_t(second + zone.offset(atEpochSecond: second))
        var parts = unsafe tm()
        unsafe gmtime_r(&local, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date =
            unsafe padded(parts.tm_year + 1_900, 4) + padded(parts.tm_mon + 1, 2)
            + padded(parts.tm_mday, 2)
        let clock =
            unsafe padded(parts.tm_hour, 2) + padded(parts.tm_min, 2) + padded(parts.tm_sec, 2)
        return date + "_" + clock
    }
}
