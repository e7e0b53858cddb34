import CLinux
import Glibc

/// Signals as values: blocked in every thread, taken by one thread that waits for them.
package enum SignalReceiver {
    /// Blocks all signals in the calling thread; at the top of `main`, before any thread starts.
    package static func blockAll() {
        var all = sigset_t()
        unsafe sigfillset(&all)
        // What a fault raises must end the process at once, with its own signal.
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] {
            unsafe sigdelset(&all, fault)
        }
        // Set, not added to: who started this process may have blocked those too.
        _ = unsafe pthread_sigmask(SIG_SETMASK, &all, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Blocks the calling thread until one of the signals comes; returns which.
    package static func wait(for signals: [Int32]) -> Int32 {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        var received: Int32 = 0
        while unsafe sigwait(&set, &received) != 0 {}
        return received
    }

    /// Waits for one of the signals, which is then taken; nil where none came in time.
    package static func poll(for signals: [Int32], milliseconds: Int) -> Int32? {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        var limit = timespec(
            tv_sec: milliseconds / 1_000,
            tv_nsec: milliseconds % 1_000 * 1_000_000
        )
        let received = unsafe sigtimedwait(&set, nil, &limit)
        return received > 0 ? received : nil
    }

    /// A descriptor that becomes readable when one of the (blocked) signals comes, for a poll loop.
    package static func descriptor(for signals: [Int32]) throws(SystemError) -> Int32 {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        return try systemCall("signalfd", "") {
            unsafe trace_signalfd(&set)
        }
    }
}
