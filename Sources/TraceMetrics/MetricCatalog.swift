/// The table of all families, in the order in which they are exposed.
package enum MetricCatalog {
    package static let all: [MetricDescriptor] = traced + ownState + neutracer

    /// Families by raw value. Raw values without a family hold the first one: `MetricFamily` can't name
    /// them.
    static let byRawValue: [MetricDescriptor] = {
        let highest = all.map { Int($0.family.rawValue) }.max() ?? 0
        var table = [MetricDescriptor](repeating: all[0], count: highest + 1)
        for descriptor in all { table[Int(descriptor.family.rawValue)] = descriptor }
        for family in MetricFamily.allCases {
            precondition(
                Int(family.rawValue) <= highest && table[Int(family.rawValue)].family == family,
                "\(family) is missing in the catalog"
            )
        }
        return table
    }()

    /// The labels of every series that belongs to one process.
    static let processLabels = ["host", "pid", "process"]
}
