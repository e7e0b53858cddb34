import Glibc
import SystemIO
import TraceModel

/// Looks after the directories that the loggers of `scripts/cluster` write to. Where one was removed, its logger would write
/// what nobody finds, and then stand still, with the process whose words it takes: it is started anew, and makes the
/// directory again. Blocks on the file system.
package struct LogDirectories {
    private static let intervalNanoseconds: Int64 = 5_000_000_000

    private var nextLook: Int64 = 0

    package init() {}

    /// Looks every few seconds, however often it is called; `now`: monotonic nanoseconds. Returns the processes whose
    /// loggers were started anew.
    package mutating func restore(now: Int64) -> [String] {
        guard now >= nextLook else { return [] }
        nextLook = now + Self.intervalNanoseconds
        let names = (try? FileSystem.list(ClusterPaths.services)) ?? []
        return names.filter { !$0.hasPrefix(".") && isAstray($0) && restart($0) }
    }

    /// A logger that has not begun yet has no directory either, and need not be started anew for it.
    private func isAstray(_ name: String) -> Bool {
        !FileSystem.exists("\(ClusterPaths.logs)/\(name)/current")
            && FileSystem.exists("\(ClusterPaths.services)/\(name)/log/supervise/control")
    }

    /// As `s6-svc -t` does; false where nothing supervises the logger.
    private func restart(_ name: String) -> Bool {
        let control = open(
            "\(ClusterPaths.services)/\(name)/log/supervise/control",
            O_WRONLY | O_NONBLOCK | O_CLOEXEC
        )
        guard control >= 0 else { return false }
        defer { close(control) }
        return write(control, "t", 1) == 1
    }
}
