package import TraceModel
package import TraceTime

/// Writes timestamps as the agents send them: `YYYY-MM-DD HH:MM:SS.fff`, local time.
package struct StampClock: Sendable {
    package static let byteCount = 23
    /// Stands where a timestamp will.
    package static let placeholder = "0000-00-00 00:00:00.000"

    private let stems: StemClock
    private var second = Int.min
    private var millisecond = Int.min
    private var text = Array(Self.placeholder.utf8)

    package init(zone: TimeZoneRules) { stems = StemClock(zone: zone) }

    /// Writes `byteCount` bytes at `target`. Cheap while the second stays the same.
    package mutating func write(_ time: EpochNanoseconds, to target: UnsafeMutableRawPointer) {
        let milliseconds = Int(time) / 1_000_000
        if milliseconds != millisecond { render(milliseconds) }
        text.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(start: target, count: Self.byteCount)
                .copyMemory(from: source)
        }
    }

    private mutating func render(_ milliseconds: Int) {
        millisecond = milliseconds
        let seconds = milliseconds / 1_000
        if seconds != second {
            second = seconds
            // YYYYmmdd_HHMMSS
            let stem = Array(stems.text(Int64(seconds) * 1_000_000_000).utf8)
            for (from, to) in zip(
                [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14],
                [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
            ) {
                text[to] = stem[from]
            }
        }
        let fraction = milliseconds % 1_000
        text[20] = UInt8(ascii: "0") + UInt8(fraction / 100)
        text[21] = UInt8(ascii: "0") + UInt8(fraction / 10 % 10)
        text[22] = UInt8(ascii: "0") + UInt8(fraction % 10)
    }
}
