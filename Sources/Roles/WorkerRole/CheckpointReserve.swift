import SystemIO
import TraceModel

/// Disk space held so that a checkpoint can be finished on a full disk: a file of allocated blocks that
/// nothing reads. Given up when a checkpoint finds no space, made anew once it is done.
struct CheckpointReserve {
    private let worker: WorkerName
    private var path: String { ClusterPaths.checkpointReserve(of: worker) }

    init(for worker: WorkerName) { self.worker = worker }

    /// Sees to it that the space is held where the disk has it: for rows that wait to be written and for both
    /// copies of a checkpoint that has grown by half, as what the first one frees may be taken by others.
    /// Without it the next checkpoint may have to wait. Blocks.
    func hold() {
        let last = FileSystem.size(ClusterPaths.checkpoint(of: worker)) ?? 0
        let wanted = Limits.workerReserveBytes + 2 * (last + last / 2)
        guard (FileSystem.size(path) ?? 0) < wanted else { return }
        do { try File(path, .readWrite).preallocate(wanted) } catch {
            // Half of it would only be in others' way.
            _ = giveUp()
        }
    }

    /// Frees the space; false where none was held. Blocks.
    func giveUp() -> Bool {
        guard FileSystem.exists(path) else { return false }
        do throws(SystemError) {
            try FileSystem.remove(path)
            return true
        } catch { return false }
    }
}
