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
                unsafe sendto(
                    descriptor,
                    message,
                    message.utf8.count,
                    Int32(MSG_NOSIGNAL),
                    generic,
                    length
                )
            }
        }
    }
}
