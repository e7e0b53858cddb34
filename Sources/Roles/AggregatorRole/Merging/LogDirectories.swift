import Glibc
import SystemIO
import TraceModel

/// Restores the directories that the loggers of `scripts/cluster` write to. If such a directory is removed, its
/// logger writes to unlinked files and later blocks, together with the process whose output it reads. The logger is
/// therefore restarted, which creates the directory again. Blocks on the file system.
package struct LogDirectories {
    private static let intervalNanoseconds: Int64 = 5_000_000_000

    private var nextLook: Int64 = 0

    package init() {}

    /// Checks the directories, at most every 5 s; `now` is in monotonic nanoseconds. Returns the processes whose
    /// loggers were restarted.
    package mutating func restore(now: Int64) -> [String] {
        guard now >= nextLook else { return [] }
        nextLook = now + Self.intervalNanoseconds
        let names = (try? FileSystem.list(ClusterPaths.services)) ?? []
        return names.filter { !$0.hasPrefix(".") && isAstray($0) && restart($0) }
    }

    /// Whether a logger's directory is missing. A logger that has not started yet has none either and needs no
    /// restart.
    private func isAstray(_ name: String) -> Bool {
        !FileSystem.exists("\(ClusterPaths.logs)/\(name)/current")
            && FileSystem.exists("\(ClusterPaths.services)/\(name)/log/supervise/control")
    }

    /// Restarts a logger as `s6-svc -t` does; returns false if nothing supervises it.
    private func restart(_ name: String) -> Bool {
        let control = unsafe open(
            "\(ClusterPaths.services)/\(name)/log/supervise/control",
            O_WRONLY | O_NONBLOCK | O_CLOEXEC
        )
        guard control >= 0 else { return false }
        defer { close(control) }
        return unsafe write(control, "t", 1) == 1
    }
}
