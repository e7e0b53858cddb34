import Glibc
import SystemIO
import TraceModel

/// A worker's process as the operating system knows it: by the lock it holds in the data directory.
enum WorkerProcess {
    /// Kills the worker's process, also a stopped one, and returns when it is gone: what it has not in its
    /// checkpoint by then, it will never have. Who restarts it is none of this function's business.
    /// - Throws: `TraceError(.unreachable)` where it stays, `SystemError` where the lock cannot be read.
    static func end(_ worker: WorkerName) throws {
        let path = ClusterPaths.lock(of: worker)
        guard FileSystem.exists(path), try isRunning(path),
            let pid = pid_t(
                String(decoding: try FileSystem.contents(path), as: UTF8.self).split(separator: "\n").first ?? ""),
            pid > 1
        else { return }
        kill(pid, SIGKILL)
        let deadline = WallClock.monotonic() + 10_000_000_000
        while kill(pid, 0) == 0 {
            guard WallClock.monotonic() < deadline else {
                throw TraceError(.unreachable, "Process \(pid) of \(worker) does not end")
            }
            usleep(10_000)
        }
    }

    /// Whether a process holds the lock.
    private static func isRunning(_ path: String) throws(SystemError) -> Bool {
        let lock = try File(path, .readWrite)
        return try !lock.lock()
    }
}
