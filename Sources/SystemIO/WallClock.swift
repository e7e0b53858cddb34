import Glibc
package import TraceModel

/// The clocks: the calendar's, one that never jumps, and a thread's own.
package enum WallClock {
    /// Nanoseconds since the Unix epoch.
    package static func now() -> EpochNanoseconds { read(CLOCK_REALTIME) }

    /// Nanoseconds that only go forward; for timeouts and durations.
    package static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds that the calling thread has spent on a CPU.
    package static func threadTime() -> Int64 { read(CLOCK_THREAD_CPUTIME_ID) }

    private static func read(_ clock: clockid_t) -> Int64 {
        #if DEBUG
        if let driver = Simulation.driver { return driver.clock() }
        #endif
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
