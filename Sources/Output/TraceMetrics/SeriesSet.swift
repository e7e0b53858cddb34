/// What a worker remembers of a group of series that it has told the aggregator of: their ids follow one
/// another. Lies in the state of what the series are about.
package struct SeriesSet: BitwiseCopyable, Sendable {
    /// More series than any group has.
    package static let countMax = 64

    var first: UInt32 = 0
    /// The writer's at which the ids were given; 0: none were.
    var generation: UInt32 = 0
    /// Which of the series are defined, a bit each.
    var told: UInt64 = 0

    package init() {}
}
