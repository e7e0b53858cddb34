import TraceModel

/// Which series: the family and its labels' values, which are compared by their bytes.
package struct SeriesKey: Hashable, Sendable {
    package let family: MetricFamily
    package let labels: [String]

    package init(family: MetricFamily, labels: [String]) {
        self.family = family
        self.labels = labels
    }

    init(_ sample: MetricSample) {
        self.init(family: sample.family, labels: sample.labels)
    }

    /// The series that a family's overflow is folded into.
    static func overflow(of family: MetricFamily) -> SeriesKey {
        let labels = family.descriptor.labels.map { _ in MetricLabel.other }
        return SeriesKey(family: family, labels: labels)
    }

    var isOverflow: Bool {
        !labels.isEmpty && labels.allSatisfy { $0 == MetricLabel.other }
    }

    /// By family, then by labels.
    static func areInOrder(_ left: SeriesKey, _ right: SeriesKey) -> Bool {
        if left.family != right.family { return left.family.rawValue < right.family.rawValue }
        return left.labels.lexicographicallyPrecedes(right.labels, by: TextKey.areInOrder)
    }

    package static func == (left: SeriesKey, right: SeriesKey) -> Bool {
        left.family == right.family
            && left.labels.elementsEqual(right.labels, by: TextKey.areEqual)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(family)
        for label in labels { hasher.combine(TextKey(label)) }
    }
}
