import CLinux
import Glibc

/// An eventfd: any thread wakes the one that polls `descriptor`.
package final class Wakeup: Sendable {
    package let descriptor: Int32

    package init() throws(SystemError) {
        descriptor = try systemCall("eventfd", "") { trace_eventfd() }
    }

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
