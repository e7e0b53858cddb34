import SystemIO
import TraceModel

/// Reserves disk space so that a checkpoint can be finished on a full disk: a file of allocated blocks that is never
/// read. Freed if a checkpoint finds no space, and allocated again after it.
struct CheckpointReserve {
    private let worker: WorkerName
    private var path: String { ClusterPaths.checkpointReserve(of: worker) }

    init(for worker: WorkerName) { self.worker = worker }

    /// Allocates the reserve if the disk has room: enough for the buffered rows and for both copies of a checkpoint
    /// that has grown by half, because other processes may take the space that the first copy frees. Without a reserve
    /// the next checkpoint may have to wait. Blocks.
    func hold() {
        let last = FileSystem.size(ClusterPaths.checkpoint(of: worker)) ?? 0
        let wanted = Limits.workerReserveBytes + 2 * (last + last / 2)
        guard (FileSystem.size(path) ?? 0) < wanted else { return }
        do { try File(path, .readWrite).preallocate(wanted) } catch {
            // A partial reserve does not help, and takes space from other files.
            _ = giveUp()
        }
    }

    /// Frees the space; returns false if none was reserved. Blocks.
    func giveUp() -> Bool {
        guard FileSystem.exists(path) else { return false }
        do throws(SystemError) {
            try FileSystem.remove(path)
            return true
        } catch { return false }
    }
}
