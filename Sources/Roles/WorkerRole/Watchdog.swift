import Glibc
import Synchronization
import SystemIO
import TraceModel

/// Ends the process where the apply loop hangs: nothing outside can tell a hung loop from a busy one.
final class Watchdog: Sendable {
    private let fed = Atomic<UInt64>(0)
    private let seconds: Int
    private let cell: CrashCell?

    /// `seconds` of silence are too many; `cell` learns that this is what happened.
    init(seconds: Int, cell: CrashCell?) {
        self.seconds = seconds
        self.cell = cell
    }

    /// The loop is alive; the supervisor hears it too.
    func feed() {
        fed.wrappingAdd(1, ordering: .relaxed)
        Readiness.alive()
    }

    /// Starts watching, for the life of the process.
    func start() {
        _ = DedicatedThread("watchdog") { [self] in
            var seen: UInt64 = 0
            var silent = 0
            while true {
                // Seconds that this thread has lived through: a stopped process does not hang.
                sleep(1)
                let now = fed.load(ordering: .relaxed)
                silent = now == seen ? silent + 1 : 0
                seen = now
                guard silent > seconds else { continue }
                cell?.cause = .hung
                // Not by the logger: what hangs may hold its lock.
                let words = "The apply loop has hung for \(seconds) s; ending\n"
                _ = write(STDERR_FILENO, words, words.utf8.count)
                abort()
            }
        }
    }
}
