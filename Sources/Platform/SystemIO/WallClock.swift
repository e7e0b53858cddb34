import Glibc
package import TraceModel

/// The clocks: the calendar's, one that never jumps, and a thread's own.
package enum WallClock {
    /// The latest time that `now` says, the begin of 2262: 64 bits of nanoseconds end a hundred days later, and sums with what
    /// is added to an arrival have to fit.
    package static let latest: EpochNanoseconds = 9_214_646_400_000_000_000

    /// Nanoseconds since the Unix epoch, from 0 to `latest` whatever the clock is set to. It may go back at any time.
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
    /// How far the calendar's clock is off, in nanoseconds: for tests of the debug build, by the environment variable
    /// `TRACE_FAULT_CLOCK_OFFSET` in seconds.
    private static let testOffset: Int64 = clamped(
        seconds: Readiness.environment("TRACE_FAULT_CLOCK_OFFSET").flatMap { Int64($0) } ?? 0)
    #endif

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
        return clamped(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
    }

    /// As many nanoseconds, or the nearest that there are.
    static func clamped(seconds: Int64, nanoseconds: Int64 = 0) -> Int64 {
        let (product, isOver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isBeyond) = product.addingReportingOverflow(nanoseconds)
        guard isOver || isBeyond else { return sum }
        return seconds < 0 ? .min : .max
    }
}
