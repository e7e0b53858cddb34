/// The table of all metric families, in the order in which they are exposed.
package enum MetricCatalog {
    package static let all: [MetricDescriptor] = traced + ownState + neutracer

    /// Descriptors by raw value. Unused raw values hold the first descriptor; no `MetricFamily` has such a value.
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

    /// The count of numbers in a value of a family, by catalog position.
    static let widths: [UInt8] = all.map { valueCount(of: $0) }

    /// Families by catalog position.
    static let families: [MetricFamily] = all.map(\.family)
    static let kinds: [MetricKind] = all.map(\.kind)

    /// Whether each series of a family belongs to one process or host, so that the number of series is not known in
    /// advance. By catalog position.
    static let areLimited: [Bool] = all.map { descriptor in
        descriptor.labels.contains("pid") || descriptor.sources.contains(.pidText)
            || descriptor.labels.first == "host"
    }
    /// Whether the first two labels are the host and the process id, by catalog position.
    static let haveHostAndPID: [Bool] = all.map { $0.labels.starts(with: ["host", "pid"]) }
    /// Whether the first label is the host, by catalog position.
    static let haveHosts: [Bool] = all.map { $0.labels.first == "host" }
    /// Catalog positions of the histograms whose series belong to processes.
    static let histogramsOfProcesses: [UInt8] = all.indices.filter {
        areLimited[$0] && kinds[$0] == .histogram && all[$0].derivation == nil
    }.map { UInt8($0) }

    /// A family's position in the catalog, by raw value.
    static let positions: [UInt8] = byRawValue.map { descriptor in
        UInt8(all.firstIndex { $0.family == descriptor.family } ?? 0)
    }

    private static func valueCount(of descriptor: MetricDescriptor) -> UInt8 {
        descriptor.kind == .histogram ? UInt8(descriptor.bounds.count + 2) : 1
    }

    /// The count of numbers in a value of a family, by raw value: one for each bucket and the sum, or one.
    static let valueCounts: [UInt8] = byRawValue.map { valueCount(of: $0) }

    /// The labels that every series of a process has.
    static let processLabels = ["host", "pid", "process"]
}
