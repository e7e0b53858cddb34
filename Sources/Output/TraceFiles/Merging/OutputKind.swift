import TraceModel

/// What a window of a resource leaves behind. Raw values stand in checkpoints and announcements.
package enum OutputKind: UInt8, CaseIterable, Sendable {
    /// Chrome trace, one a host.
    case json = 0
    /// One a resource.
    case csv = 1
    /// Call stacks, one a host.
    case stacks = 2
    /// One a resource.
    case anomalies = 3

    /// The directory under `output`.
    package var directory: String {
        switch self {
        case .json: "json"
        case .csv: "csv"
        case .stacks: "txt"
        case .anomalies: "anomalies"
        }
    }

    /// How a segment's name ends: what viewers know, or `.records` for our own binary form.
    var segmentSuffix: String {
        switch self {
        case .json: ".json"
        case .csv: ".csv"
        case .stacks: ".stacks.records"
        case .anomalies: ".anomalies.records"
        }
    }

    /// The most that merging segments of so many bytes can write, of which so many are call stacks: their text is escaped
    /// when it is merged, other rows stay what they are.
    static func mergeBytesMax(bytes: Int, stackBytes: Int) -> Int {
        bytes + stackBytes * (Limits.mergedBytesPerStackByteMax - 1)
    }

    /// Whether rows carry their host, which then decides between equal time and process id.
    var holdsManyHosts: Bool { self == .csv || self == .anomalies }
}
