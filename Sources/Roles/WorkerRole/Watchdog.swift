import Glibc
import Synchronization
import SystemIO
import TraceModel

/// Ends the process if the apply loop hangs, because from outside a hung loop looks like a busy one.
final class Watchdog: Sendable {
    private let fed = Atomic<UInt64>(0)
    private let seconds: Int
    private let cell: CrashCell?

    /// Ends the process after `seconds` without `feed`, and records that cause in `cell`.
    init(seconds: Int, cell: CrashCell?) {
        self.seconds = seconds
        self.cell = cell
    }

    /// Reports to the watchdog and to the supervisor that the loop is alive.
    func feed() {
        fed.wrappingAdd(1, ordering: .relaxed)
        Readiness.alive()
    }

    /// Starts the thread, which runs for the life of the process.
    func start() {
        _ = DedicatedThread("watchdog") { [self] in
            var seen: UInt64 = 0
            var silent = 0
            while true {
                // Counts seconds in which this thread ran: a stopped process is not hung.
                sleep(1)
                let now = fed.load(ordering: .relaxed)
                silent = now == seen ? silent + 1 : 0
                seen = now
                guard silent > seconds else { continue }
                cell?.cause = .hung
                // Written without the logger, because the hung thread may hold its lock.
                let words = "The apply loop has hung for \(seconds) s; ending\n"
                _ = unsafe write(STDERR_FILENO, words, words.utf8.count)
                abort()
            }
        }
    }
}
