/// One series of a family with its value. `labels` stand in the order of the family's label names.
package struct MetricSample: Sendable, Equatable {
    package var family: MetricFamily
    package var labels: [String]
    package var value: MetricValue

    package init(family: MetricFamily, labels: [String], value: MetricValue) {
        self.family = family
        self.labels = labels
        self.value = value
    }

    /// False where kind, number of labels or number of buckets are not the family's, or where the family
    /// is worked out from another and must not be sent.
    package var isWellFormed: Bool {
        let descriptor = family.descriptor
        guard descriptor.derivation == nil, labels.count == descriptor.labels.count,
            value.kind == descriptor.kind
        else { return false }
        if case .histogram(let buckets, _) = value {
            return buckets.count == descriptor.bounds.count + 1
        }
        return true
    }
}
