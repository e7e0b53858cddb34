package import TraceModel

/// Writes `HH:MM:SS.mmm` in the configured zone: what people read beside each event.
@usableFromInline
package struct ReadableClock {
    @inlinable
    package static var byteCount: Int { 12 }

    private let zone: TimeZoneRules
    /// Minutes since the epoch whose offset is known.
    private var cachedMinute = Int.min
    private var cachedOffset = 0

    package init(zone: TimeZoneRules) { self.zone = zone }

    /// Writes `byteCount` bytes at `target`; microseconds and below are cut off. Allocates nothing.
    package mutating func write(_ time: EpochNanoseconds, to target: UnsafeMutableRawPointer) {
        // Rounds down before 1970 too.
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
        twoDigits(minuteOfDay / 60, target)
        twoDigits(minuteOfDay % 60, target + 3)
        twoDigits(secondOfDay % 60, target + 6)
        target.storeBytes(of: UInt8(ascii: ":"), toByteOffset: 2, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: ":"), toByteOffset: 5, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "."), toByteOffset: 8, as: UInt8.self)
        target.storeBytes(of: ascii(millisecond / 100), toByteOffset: 9, as: UInt8.self)
        twoDigits(millisecond % 100, target + 10)
    }

    @inline(__always)
    private func twoDigits(_ value: Int, _ target: UnsafeMutableRawPointer) {
        target.storeBytes(of: ascii(value / 10), as: UInt8.self)
        target.storeBytes(of: ascii(value % 10), toByteOffset: 1, as: UInt8.self)
    }

    @inline(__always)
    private func ascii(_ digit: Int) -> UInt8 {
        UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
    }
}
