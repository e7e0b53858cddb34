package import SystemIO
package import TraceModel

// Kept checkpoint
// ===============
//
// `checkpoints/<worker>.w<window>.kept`: a hard link to the first checkpoint that the worker wrote in that window,
// without a mirror. The worker's segments of the window follow from this state and the log behind its LSN alone, so
// they can be rebuilt from these until the window is published. Only a barrier moves slots, and it ends the window, so
// the checkpoint's slots are the worker's until the window's end.

/// Manages the checkpoints from which damaged segments can be rebuilt. There is one for each window of a worker that is
/// not published yet, if the limits allow: without one a damaged segment is set aside.
package enum KeptCheckpoints {
    /// Returns the worker's windows with a kept checkpoint, ascending. Blocks.
    private static func windows(of worker: WorkerName) throws(SystemError) -> [WorkerWindow] {
        try all().filter { $0.worker == worker }.sorted { $0.window < $1.window }
    }

    private static func all() throws(SystemError) -> [WorkerWindow] {
        try FileSystem.list(ClusterPaths.checkpoints).compactMap { name in
            guard name.hasSuffix(ClusterPaths.keptSuffix) else { return nil }
            return WorkerWindow(name.dropLast(ClusterPaths.keptSuffix.count))
        }
    }

    /// Keeps the checkpoint that the worker has just written. Does nothing if the window has a kept checkpoint already,
    /// or the limits on their number and bytes are reached. Costs a link; blocks.
    package static func keep(_ window: WorkerWindow) throws(SystemError) {
        let kept = try windows(of: window.worker)
        guard !kept.contains(window), kept.count < Limits.keptCheckpointsMax else { return }
        let checkpoint = ClusterPaths.checkpoint(of: window.worker)
        let bytes = kept.map(ClusterPaths.keptCheckpoint).reduce(FileSystem.size(checkpoint) ?? 0) {
            $0 + (FileSystem.size($1) ?? 0)
        }
        guard bytes <= Limits.keptCheckpointsBytesMax else { return }
        try FileSystem.link(checkpoint, to: ClusterPaths.keptCheckpoint(of: window))
    }

    /// Removes a resource's kept checkpoints of published windows: all up to this window. Blocks.
    package static func remove(of resource: Resource, through window: UInt64) throws(SystemError) {
        for kept in try all() where kept.worker.resource == resource && kept.window <= window {
            try FileSystem.remove(ClusterPaths.keptCheckpoint(of: kept))
        }
    }

    /// Removes the worker's kept checkpoints from this window on; returns whether there were any. Blocks.
    package static func remove(
        of worker: WorkerName,
        from window: UInt64 = 0
    ) throws(SystemError) -> Bool {
        let kept = try windows(of: worker).filter { $0.window >= window }
        for window in kept { try FileSystem.remove(ClusterPaths.keptCheckpoint(of: window)) }
        return !kept.isEmpty
    }
}
