import Glibc
package import TraceModel

/// The calendar's clock, the monotonic clock, and a thread's CPU clock.
package enum WallClock {
    /// The latest time that `now` returns, the start of 2262. It leaves a hundred days until 64 bits of nanoseconds
    /// overflow, so that sums of an arrival time and a duration fit.
    package static let latest: EpochNanoseconds = 9_214_646_400_000_000_000

    /// Returns nanoseconds since the Unix epoch, clamped to 0...`latest`. The clock may be set back at any time.
    package static func now() -> EpochNanoseconds {
        #if DEBUG
        let (time, isOver) = read(CLOCK_REALTIME).addingReportingOverflow(testOffset)
        guard !isOver else { return latest }
        #else
        let time = read(CLOCK_REALTIME)
        #endif
        return min(max(time, 0), latest)
    }

    #if DEBUG
    /// Offset of the calendar's clock in nanoseconds, for tests of a debug build: environment variable
    /// `TRACE_FAULT_CLOCK_OFFSET`, in seconds.
    private static let testOffset: Int64 = clamped(
        seconds: Readiness.environment("TRACE_FAULT_CLOCK_OFFSET").flatMap { Int64($0) } ?? 0
    )
    #endif

    /// Returns nanoseconds that never go back; for timeouts and durations.
    package static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

    /// Returns the CPU time of the calling thread in nanoseconds.
    package static func threadTime() -> Int64 { read(CLOCK_THREAD_CPUTIME_ID) }

    private static func read(_ clock: clockid_t) -> Int64 {
        #if DEBUG
        if let driver = Simulation.driver { return driver.clock() }
        #endif
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return clamped(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
    }

    /// Converts to nanoseconds, clamped to the range of `Int64`.
    static func clamped(seconds: Int64, nanoseconds: Int64 = 0) -> Int64 {
        let (product, isOver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isBeyond) = product.addingReportingOverflow(nanoseconds)
        guard isOver || isBeyond else { return sum }
        return seconds < 0 ? .min : .max
    }
}
