import Glibc
import SystemIO
import TraceModel

/// What makes this process the only one of its name: a lock that the kernel holds until the process ends.
struct WorkerLock: ~Copyable {
    private let worker: WorkerName
    private let file: File

    /// - Throws: `TraceError(.configuration)` where another process holds it.
    init(_ worker: WorkerName) throws {
        let file = try File(ClusterPaths.lock(of: worker), .readWrite)
        guard try file.lock() else {
            throw TraceError(
                .configuration,
                "Another process is \(worker) in this data directory",
                remedy: "Stop it, or name another directory with --data"
            )
        }
        try Array("\(getpid())\n".utf8).withUnsafeBytes { try file.write($0, at: 0) }
        self.worker = worker
        self.file = file
    }

    /// Whether the name is still this process's: somebody who removes the file while it stands still lets a
    /// second one in, to whom the segments belong from then on.
    /// - Throws: `TraceError(.configuration)` where it is not.
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
