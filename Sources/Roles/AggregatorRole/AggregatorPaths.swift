import TraceModel

/// Paths of the aggregator's own files in the data directory.
enum AggregatorPaths {
    static let lock = "\(ClusterPaths.run)/aggregator.lock"
    /// The saved metrics; `metricJournal` has the messages received since.
    static let metrics = "\(ClusterPaths.aggregatorCheckpoints)metrics"
    static let metricJournal = "\(ClusterPaths.aggregatorCheckpoints)metrics.journal"
    /// The last merged window of each resource.
    static let windows = "\(ClusterPaths.aggregatorCheckpoints)windows"
    /// The directory of the charts' points.
    static let history = "history"
    /// Returns the name that a damaged file gets, so that a new one can take its place.
    static func damaged(_ path: String) -> String { "\(path).damaged" }
    /// Returns the path of the second copy of a metrics file.
    static func mirror(of path: String) -> String { "\(path).mirror" }
}
