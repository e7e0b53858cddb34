/// How values of a family behave and merge.
package enum MetricKind: UInt8, Sendable {
    /// Only grows; shares of several sources add up.
    case counter = 0
    /// The latest value counts.
    case gauge = 1
    /// Counts by bucket and a sum; shares of several sources add up.
    case histogram = 2
}
