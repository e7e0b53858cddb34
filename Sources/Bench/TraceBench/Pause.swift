import Glibc

/// Waiting for a moment of the monotonic clock.
enum Pause {
    /// Returns at once where it is past. Blocks the thread.
    static func until(_ moment: Int64) {
        var time = timespec(
            tv_sec: Int(moment / 1_000_000_000),
            tv_nsec: Int(moment % 1_000_000_000)
        )
        while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }
}
