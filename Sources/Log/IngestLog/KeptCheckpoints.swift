package import SystemIO
package import TraceModel

// Kept checkpoint
// ===============
//
// `checkpoints/<worker>.w<window>.kept`: a second name of the first checkpoint that the worker wrote in that window, in one
// copy. From this state and the log behind its LSN the worker's segments of the window can be made again, as long as the
// window is not published: they follow from both alone. Only a barrier moves slots, and it ends the window, so the
// checkpoint's slots are the worker's to the window's end.

/// The checkpoints that damaged segments can be rebuilt from, one for each window of a worker that is not published yet. They
/// are a help, not a promise: without one a damaged segment is set aside.
package enum KeptCheckpoints {
    /// Those of a worker, ascending. Blocks.
    private static func windows(of worker: WorkerName) throws(SystemError) -> [WorkerWindow] {
        try all().filter { $0.worker == worker }.sorted { $0.window < $1.window }
    }

    private static func all() throws(SystemError) -> [WorkerWindow] {
        try FileSystem.list(ClusterPaths.checkpoints).compactMap { name in
            guard name.hasSuffix(ClusterPaths.keptSuffix) else { return nil }
            return WorkerWindow(name.dropLast(ClusterPaths.keptSuffix.count))
        }
    }

    /// Keeps the worker's checkpoint, which it has just written, where it is the window's first one, and there is room
    /// for it within the limits. Costs a link; blocks.
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

    /// Removes a resource's checkpoints of published windows: all up to this one. Blocks.
    package static func remove(of resource: Resource, through window: UInt64) throws(SystemError) {
        for kept in try all() where kept.worker.resource == resource && kept.window <= window {
            try FileSystem.remove(ClusterPaths.keptCheckpoint(of: kept))
        }
    }

    /// Removes those of a worker from this window on; returns whether there were any. Blocks.
    package static func remove(
        of worker: WorkerName,
        from window: UInt64 = 0
    ) throws(SystemError) -> Bool {
        let kept = try windows(of: worker).filter { $0.window >= window }
        for window in kept { try FileSystem.remove(ClusterPaths.keptCheckpoint(of: window)) }
        return !kept.isEmpty
    }
}
