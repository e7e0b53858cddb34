import Glibc
import Synchronization
import SystemIO
import TraceModel

/// Ends the process where the apply loop hangs: nothing outside can tell a hung loop from a busy one.
final class Watchdog: Sendable {
    private let fed: Atomic<Int64>

    init() { fed = Atomic(WallClock.monotonic()) }

    /// The loop is alive.
    func feed() { fed.store(WallClock.monotonic(), ordering: .relaxed) }

    /// Starts watching, for the life of the process.
    func start() {
        _ = DedicatedThread("watchdog") { [self] in
            while true {
                sleep(1)
                let silent = WallClock.monotonic() - fed.load(ordering: .relaxed)
                guard silent > Int64(Limits.watchdogSeconds) * 1_000_000_000 else { continue }
                // Not by the logger: what hangs may hold its lock.
                let words = "The apply loop has hung for \(Limits.watchdogSeconds) s; ending\n"
                _ = write(STDERR_FILENO, words, words.utf8.count)
                abort()
            }
        }
    }
}
