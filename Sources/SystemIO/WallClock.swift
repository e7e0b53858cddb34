import Glibc
package import TraceModel

/// The two clocks: the calendar's, and one that never jumps.
package enum WallClock {
    /// Nanoseconds since the Unix epoch.
    package static func now() -> EpochNanoseconds { read(CLOCK_REALTIME) }

    /// Nanoseconds that only go forward; for timeouts and durations.
    package static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
