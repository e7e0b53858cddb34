import SystemIO
import TraceMetrics
import TraceModel

/// The merged metrics on the disk. They are saved before they are shown, so that no counter shown once
/// ever falls, whatever dies.
struct MetricArchive: Sendable {
    private let file = SavedFile(
        path: AggregatorPaths.metrics,
        bytesMax: Limits.metricArchiveBytesMax
    )

    /// Blocks until it is on the disk.
    func save(_ store: borrowing MetricStore) throws { try file.save(store.encoded()) }

    /// What was saved, or an empty store that has counted the damage.
    func load() throws -> (store: MetricStore, damage: TraceError?) {
        let (saved, damage) = try file.load { (bytes) throws(TraceError) in
            try MetricStore(decoding: bytes)
        }
        var store = saved ?? MetricStore()
        if damage != nil { store.count(.aggregatorStateDamaged) }
        return (store, damage)
    }
}
