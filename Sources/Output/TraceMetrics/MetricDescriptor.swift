/// What a metric family is called, means, and how it is labelled.
package struct MetricDescriptor: Sendable {
    /// Where a family's series are worked out from another family instead of being sent.
    package struct Derivation: Sendable {
        /// One label of the derived series.
        package enum Label: Sendable {
            /// The source's label at this position.
            case copy(Int)
            /// `pid-<n>` of the process id at this position.
            case processOfPID(Int)
        }

        package let source: MetricFamily
        package let labels: [Label]
    }

    package let family: MetricFamily
    /// The sample's full name; counters end in `_total`, except where the original's name did not.
    package let name: String
    package let kind: MetricKind
    /// `seconds`, `bytes`, `ratio`, or empty. The name (without `_total`) ends in it.
    package let unit: String
    package let help: String
    package let labels: [String]
    /// Upper bounds of a histogram's buckets, ascending, without +Inf, in the unit.
    package let bounds: [Double]
    package let derivation: Derivation?
    /// Where a worker's series take the labels from.
    let sources: [LabelSource]

    init(
        _ family: MetricFamily,
        _ name: String,
        _ kind: MetricKind,
        _ help: String,
        labels: [String] = [],
        unit: String = "",
        bounds: [Double] = [],
        from derivation: Derivation? = nil
    ) {
        precondition(
            (kind == .histogram) == !bounds.isEmpty,
            "bounds belong to histograms: \(name)"
        )
        self.family = family
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
        self.labels = labels
        self.bounds = bounds
        self.derivation = derivation
        sources = LabelSource.sources(of: family, labels: labels)
    }
}
