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
                "\(family) is missing in the catalog")
        }
        return table
    }()

    /// How many numbers a value of a family has, by the family's place in the catalog.
    static let widths: [UInt8] = all.map { valueCount(of: $0) }

    /// By the family's place in the catalog.
    static let families: [MetricFamily] = all.map(\.family)
    static let kinds: [MetricKind] = all.map(\.kind)

    /// Whether a family's series are those of processes, so that nobody knows how many there will be; by its place.
    static let areOfProcesses: [Bool] = all.map { descriptor in
        descriptor.labels.contains("pid") || descriptor.sources.contains(.pidText)
    }
    /// Whether the first labels are the process's host and id, by the family's place.
    static let haveHostAndPID: [Bool] = all.map { $0.labels.starts(with: ["host", "pid"]) }
    /// Histograms of processes, by their places.
    static let histogramsOfProcesses: [UInt8] = all.indices.filter {
        areOfProcesses[$0] && kinds[$0] == .histogram && all[$0].derivation == nil
    }.map { UInt8($0) }

    /// A family's place in the catalog, by raw value.
    static let places: [UInt8] = byRawValue.map { descriptor in
        UInt8(all.firstIndex { $0.family == descriptor.family } ?? 0)
    }

    private static func valueCount(of descriptor: MetricDescriptor) -> UInt8 {
        descriptor.kind == .histogram ? UInt8(descriptor.bounds.count + 2) : 1
    }

    /// How many numbers a value of a family has, by raw value: one a bucket and the sum, or one.
    static let valueCounts: [UInt8] = byRawValue.map { valueCount(of: $0) }

    /// The labels of every series that belongs to one process.
    static let processLabels = ["host", "pid", "process"]
}
