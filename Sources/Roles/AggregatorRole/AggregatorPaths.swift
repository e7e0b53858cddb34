import TraceModel

/// What the aggregator keeps for itself in the data directory.
enum AggregatorPaths {
    static let lock = "\(ClusterPaths.run)/aggregator.lock"
    /// The merged metrics, and what was taken in since they were saved.
    static let metrics = "\(ClusterPaths.aggregatorCheckpoints)metrics"
    static let metricJournal = "\(ClusterPaths.aggregatorCheckpoints)metrics.journal"
    /// The last merged window of each resource.
    static let windows = "\(ClusterPaths.aggregatorCheckpoints)windows"
    /// What a damaged file is renamed to, so that the next one can take its place.
    static func damaged(_ path: String) -> String { "\(path).damaged" }
    /// The second copy of a file of the metrics.
    static func mirror(of path: String) -> String { "\(path).mirror" }
}
