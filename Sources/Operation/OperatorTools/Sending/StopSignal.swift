import Glibc
import SystemIO

/// A request to stop (Ctrl-C) that is raised once and seen by everyone who waits for it or checks it.
package final class StopSignal: Sendable {
    private let wakeup: Wakeup

    package init() throws { wakeup = try Wakeup() }

    /// Lets SIGINT and SIGTERM raise it from now on; a second one ends the process at once (130). Call it before any
    /// other thread starts, because it blocks these signals in the calling one.
    package func raiseOnInterrupt() {
        SignalReceiver.blockAll()
        _ = DedicatedThread("interrupts") {
            _ = SignalReceiver.wait(for: [SIGINT, SIGTERM])
            self.raise()
            _ = SignalReceiver.wait(for: [SIGINT, SIGTERM])
            _exit(130)
        }
    }

    /// Raises the signal.
    package func raise() { wakeup.signal() }

    package var isRaised: Bool { wait(seconds: 0) }

    /// Blocks for the given time or until raised; returns whether it is raised.
    package func wait(seconds: Double) -> Bool {
        let deadline = WallClock.monotonic() + Int64(max(0, seconds) * 1e9)
        while true {
            let left = max(0, deadline - WallClock.monotonic())
            var entry = pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)
            // Rounded up, so that the last millisecond is not spent spinning.
            let milliseconds = Int32(clamping: (left + 999_999) / 1_000_000)
            if unsafe poll(&entry, 1, milliseconds) > 0 { return true }
            if WallClock.monotonic() >= deadline { return false }
        }
    }
}

/// Thrown where Ctrl-C ended the work; what was acknowledged until then stays.
package struct Interrupted: Error, CustomStringConvertible {
    package init() {}

    package var description: String { "interrupted" }
}
