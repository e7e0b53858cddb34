import TraceModel

/// What the store knows of one slot of one resource.
struct SlotSection: Sendable {
    struct Key: Hashable, Sendable {
        let resource: Resource
        let slot: UInt8
    }

    /// Who told it last.
    struct Source: Hashable, Sendable {
        let process: String
        let incarnation: UInt64
    }

    var lsn: LSN
    var source: Source
    /// By the series' number in the table.
    var values: [Int: MetricValue]
}
