import TraceModel

/// How many series of processes the aggregator exposes and holds.
package struct SeriesLimits: Sendable, Equatable {
    /// Label sets of one family that are exposed; those of further series fold into `other`.
    package var perFamily: Int
    /// Rows that are held in all, those of folded series included.
    package var held: Int

    package init(
        perFamily: Int = Limits.seriesPerMetricMax,
        held: Int = Limits.seriesHeldMax
    ) {
        self.perFamily = perFamily
        self.held = held
    }

    /// Label sets of a histogram that are exposed: fewer, as each makes a line a bucket.
    package var perHistogram: Int { max(1, perFamily / Limits.histogramSeriesDivisor) }

    /// By the family's place in the catalog.
    func exposed(of family: UInt8) -> Int {
        MetricCatalog.kinds[Int(family)] == .histogram ? perHistogram : perFamily
    }
}
