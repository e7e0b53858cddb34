/// Which columns the tables of final files have.
package enum CSVColumns: String, CaseIterable, Sendable {
    /// Those of the original server, then ours.
    case all
    /// Only those of the original server. Each of their fields is a number, as its detectors read them.
    case original

    /// Returns how many of a table's first columns are those of the original server's table; nil where it has no such table.
    package static func originalCount(of resource: Resource) -> Int? {
        switch resource {
        case .function: 5
        case .cpu: 8
        case .memory: 5
        case .network: 7
        case .io: 8
        case .gpu: nil
        }
    }
}
