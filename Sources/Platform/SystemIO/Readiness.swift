import CLinux
import Glibc
import Synchronization

/// Tells the supervisor how this process stands: s6 by a newline on a descriptor
/// (`notification-fd`, number in `TRACE_READY_FD`), systemd by datagrams to `NOTIFY_SOCKET`
/// (sd_notify(3)). Under neither, nothing happens.
package enum Readiness {
    private static let isReady = Atomic<Bool>(false)
    private static let lastAlive = Atomic<Int64>(0)

    /// What is said again is not sent again.
    package static func ready() {
        guard !isReady.exchange(true, ordering: .relaxed) else { return }
        if let text = environment("TRACE_READY_FD"), let descriptor = Int32(text) {
            _ = unsafe write(descriptor, "\n", 1)
            close(descriptor)
        }
        notify("READY=1")
    }

    package static func stopping() { notify("STOPPING=1") }

    /// To be called by the one loop whose health matters, as often as it comes round: once a second is
    /// sent.
    package static func alive() {
        let now = WallClock.monotonic()
        guard now - lastAlive.load(ordering: .relaxed) >= 1_000_000_000 else { return }
        lastAlive.store(now, ordering: .relaxed)
        notify("WATCHDOG=1")
    }

    package static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    private static func notify(_ message: String) {
        guard let path = environment("NOTIFY_SOCKET"), let first = path.utf8.first else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { target in
            guard bytes.count < target.count else { return false }
            unsafe target.copyBytes(from: bytes)
            // '@' names an abstract socket: a leading NUL on the wire.
            if first == UInt8(ascii: "@") { unsafe target[0] = 0 }
            return true
        }
        guard fits else { return }
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe sendto(descriptor, message, message.utf8.count, Int32(MSG_NOSIGNAL), generic, length)
            }
        }
    }
}

/// An eventfd: any thread wakes the one that polls `descriptor`.
package final class Wakeup: Sendable {
    package let descriptor: Int32

    package init() throws(SystemError) { descriptor = try systemCall("eventfd", "") { trace_eventfd() } }

    deinit { close(descriptor) }

    package func signal() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor, &one, 8)
    }

    /// Forgets all signals so far.
    package func clear() {
        var count: UInt64 = 0
        _ = unsafe read(descriptor, &count, 8)
    }
}

/// Signals as values: blocked in every thread, taken by one thread that waits for them.
package enum SignalReceiver {
    /// Blocks all signals in the calling thread; at the top of `main`, before any thread starts.
    package static func blockAll() {
        var all = sigset_t()
        unsafe sigfillset(&all)
        // What a fault raises must end the process at once, with its own signal.
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { unsafe sigdelset(&all, fault) }
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
        var limit = timespec(tv_sec: milliseconds / 1_000, tv_nsec: milliseconds % 1_000 * 1_000_000)
        let received = unsafe sigtimedwait(&set, nil, &limit)
        return received > 0 ? received : nil
    }

    /// A descriptor that becomes readable when one of the (blocked) signals comes, for a poll loop.
    package static func descriptor(for signals: [Int32]) throws(SystemError) -> Int32 {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        return try systemCall("signalfd", "") { unsafe trace_signalfd(&set) }
    }
}
