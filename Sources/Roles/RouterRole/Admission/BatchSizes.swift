import TraceModel

/// How much the batches of a commit group are, by resource.
struct BatchSizes: Sendable {
    /// Events, as they came.
    private(set) var wireBytes: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// Rows that they become at most.
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
