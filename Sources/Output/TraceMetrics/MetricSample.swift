import TraceModel

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

    /// False where kind, value, length of a label, number of labels or number of buckets are not the family's, or where the family
    /// is worked out from another and must not be sent.
    package var isWellFormed: Bool {
        let descriptor = family.descriptor
        guard descriptor.derivation == nil, labels.count == descriptor.labels.count,
            value.kind == descriptor.kind,
            labels.allSatisfy({ $0.utf8.count <= Limits.labelBytesMax })
        else { return false }
        switch value {
        case .counter(let count):
            return count.isFinite && count >= 0 && count < Double(UInt64.max)
        case .gauge:
            return true
        case .histogram(let buckets, let sum):
            return buckets.count == descriptor.bounds.count + 1 && sum.isFinite
        }
    }
}
