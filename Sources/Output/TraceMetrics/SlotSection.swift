import TraceModel

/// What the store knows of one slot of one resource, beside its series.
struct SlotSection: Sendable {
    /// Who told it last.
    struct Source: Hashable, Sendable {
        let process: String
        let incarnation: UInt64
    }

    var lsn: LSN
    var source: Source
    /// False after a section that was not complete: until a full one, only its source can go on.
    var isWhole: Bool

    /// The slot's number among those of all resources: what a series' row holds as its owner.
    static func owner(_ resource: Resource, _ slot: UInt8) -> UInt16 {
        UInt16(resource.rawValue) << 8 | UInt16(slot)
    }
}
