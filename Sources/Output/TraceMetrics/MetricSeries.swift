package import TraceModel

/// A worker's series as of some slots' states, for the aggregator: an encoded run of sections.
///
/// A series is defined once, with an id, in the run of messages that begins with `begins`; after that its
/// value comes with the id alone.
package struct MetricSeries: Sendable, Equatable {
    package var process: String
    /// Grows with each start of the process.
    package var incarnation: UInt64
    /// Ids begin anew: nothing told before counts.
    package var begins: Bool
    /// What `SeriesWriter` wrote.
    package var sections: [UInt8]
    /// 0, or where the worker began without state: what it has told of its slots up to there, in another life,
    /// stays counted beside what it tells from then on.
    package var renewedLSN: LSN

    package init(
        process: String,
        incarnation: UInt64,
        begins: Bool,
        sections: [UInt8],
        renewedLSN: LSN = 0
    ) {
        self.renewedLSN = renewedLSN
        self.process = process
        self.incarnation = incarnation
        self.begins = begins
        self.sections = sections
    }
}
