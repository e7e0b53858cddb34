import TraceModel

/// Sizes of a commit group's batches, by resource.
struct BatchSizes: Sendable {
    /// Bytes of events as received.
    private(set) var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// Maximum bytes of the rows that the events become.
    private(set) var outputBytesMax: InlineArray<6, Int> = InlineArray(repeating: 0)

    init() {}

    init(_ group: CommitGroup) {
        for entry in group.entries {
            for resource in Resource.allCases {
                let index = Int(resource.rawValue)
                wireBytes[index] += entry.wireBytes[index]
                outputBytesMax[index] += PendingOutput.bytesMax(
                    resource,
                    events: Int(entry.accepted[index]),
                    wireBytes: entry.wireBytes[index]
                )
            }
        }
    }
}
