import Glibc
import SystemIO
import TraceModel

/// Ensures that only one process of a worker's name runs: a file lock that the kernel holds until the process ends.
struct WorkerLock: ~Copyable {
    private let worker: WorkerName
    private let file: File

    /// Takes the lock.
    /// - Throws: `TraceError(.configuration)` if another process holds it.
    init(_ worker: WorkerName) throws {
        let file = try File(ClusterPaths.lock(of: worker), .readWrite)
        guard try file.lock() else {
            throw TraceError(
                .configuration,
                "Another process is \(worker) in this data directory",
                remedy: "Stop it, or name another directory with --data"
            )
        }
        try unsafe Array("\(getpid())\n".utf8).withUnsafeBytes { try unsafe file.write($0, at: 0) }
        self.worker = worker
        self.file = file
    }

    /// Checks that the lock file is still this process's. If somebody removes it while this process is stopped, a
    /// second process can take the lock, and the segments then belong to that one.
    /// - Throws: `TraceError(.configuration)` if the file is not this process's any more.
    func check() throws(TraceError) {
        guard file.isAtItsPath else {
            throw TraceError(
                .configuration,
                "\(file.path) was removed: another process may be \(worker) now",
                remedy: "Leave the directory \(ClusterPaths.run) alone while the cluster runs"
            )
        }
    }
}
