/// A window whose segments wait for the aggregator; announced until it says they are merged.
package struct ClosedWindow: Sendable, Equatable {
    package let window: UInt64
    package let stem: String
    package let files: [ClosedFile]

    /// The most that merging it can write, in bytes.
    var mergeBytesMax: Int {
        var (bytes, stackBytes) = (0, 0)
        for file in files {
            for run in file.runs {
                // What a damaged list says is bounded by what a disk holds.
                let size = min(Int(clamping: run.bytes), 1 << 48)
                bytes += size
                if file.kind == .stacks { stackBytes += size }
            }
        }
        return OutputKind.mergeBytesMax(bytes: bytes, stackBytes: stackBytes)
    }
}
