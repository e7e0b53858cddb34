import CLinux
import Glibc
import Synchronization

/// Reports this process's state to its supervisor: to s6 by a newline on a descriptor (`notification-fd`, number in
/// `TRACE_READY_FD`), to systemd by datagrams to `NOTIFY_SOCKET` (sd_notify(3)). Does nothing under neither.
package enum Readiness {
    private static let isReady = Atomic<Bool>(false)
    private static let lastAlive = Atomic<Int64>(0)

    /// Reports readiness. Only the first call has an effect.
    package static func ready() {
        guard !isReady.exchange(true, ordering: .relaxed) else { return }
        if let text = environment("TRACE_READY_FD"), let descriptor = Int32(text) {
            _ = unsafe write(descriptor, "\n", 1)
            close(descriptor)
        }
        notify("READY=1")
    }

    /// Reports that the process is stopping.
    package static func stopping() { notify("STOPPING=1") }

    /// Reports a sign of life, at most once a second. To be called in every round of the loop whose health matters. Never
    /// blocks: a supervisor that does not read has signs of life enough in its queue, which holds about ten datagrams.
    package static func alive() {
        let now = WallClock.monotonic()
        guard now - lastAlive.load(ordering: .relaxed) >= 1_000_000_000 else { return }
        lastAlive.store(now, ordering: .relaxed)
        notify("WATCHDOG=1", flags: Int32(MSG_DONTWAIT))
    }

    /// Returns an environment variable.
    package static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    private static func notify(_ message: String, flags: Int32 = 0) {
        guard let path = environment("NOTIFY_SOCKET"), let first = path.utf8.first else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { target in
            guard bytes.count < target.count else { return false }
            unsafe target.copyBytes(from: bytes)
            // '@' denotes an abstract socket, whose address starts with NUL.
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
                unsafe sendto(
                    descriptor,
                    message,
                    message.utf8.count,
                    Int32(MSG_NOSIGNAL) | flags,
                    generic,
                    length
                )
            }
        }
    }
}

/// An eventfd with which any thread wakes the thread that polls `descriptor`.
package final class Wakeup: Sendable {
    package let descriptor: Int32

    package init() throws(SystemError) {
        descriptor = try systemCall("eventfd", "") { trace_eventfd() }
    }

    deinit { close(descriptor) }

    /// Makes `descriptor` readable.
    package func signal() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor, &one, 8)
    }

    /// Clears all signals so far.
    package func clear() {
        var count: UInt64 = 0
        _ = unsafe read(descriptor, &count, 8)
    }
}

/// Synchronous signal handling: signals are blocked in all threads and received by one that waits for them.
package enum SignalReceiver {
    /// Blocks all signals in the calling thread. To be called at the start of `main`, before any thread starts.
    package static func blockAll() {
        var all = sigset_t()
        unsafe sigfillset(&all)
        // A fault must end the process at once with its own signal.
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] {
            unsafe sigdelset(&all, fault)
        }
        // Replaces the mask, because the parent process may have blocked faults too.
        _ = unsafe pthread_sigmask(SIG_SETMASK, &all, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Blocks the calling thread until one of the signals arrives; returns it.
    package static func wait(for signals: [Int32]) -> Int32 {
        var set = set(of: signals)
        var received: Int32 = 0
        while unsafe sigwait(&set, &received) != 0 {}
        return received
    }

    /// Waits for one of the signals and consumes it; nil if none arrives in time.
    package static func poll(for signals: [Int32], milliseconds: Int) -> Int32? {
        var set = set(of: signals)
        var limit = timespec(
            tv_sec: milliseconds / 1_000,
            tv_nsec: milliseconds % 1_000 * 1_000_000
        )
        let received = unsafe sigtimedwait(&set, nil, &limit)
        return received > 0 ? received : nil
    }

    /// Returns a descriptor that becomes readable when one of the (blocked) signals arrives, for a poll loop.
    package static func descriptor(for signals: [Int32]) throws(SystemError) -> Int32 {
        var set = set(of: signals)
        return try systemCall("signalfd", "") { unsafe trace_signalfd(&set) }
    }

    private static func set(of signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        return set
    }
}
