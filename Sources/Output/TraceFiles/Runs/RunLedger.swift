/// What all run buffers of a worker hold together, and have written of the open window.
final class RunLedger {
    @exclusivity(unchecked) var bytes = 0
    /// Bytes in the runs of the open window; of these, call stacks.
    private(set) var writtenBytes = 0
    /// The buffers of which the open window has something, in the order in which they first had. Their owner keeps them for
    /// as long.
    @exclusivity(unchecked) var live: [Unmanaged<RunBuffer>] = []
    private(set) var writtenStackBytes = 0
    /// Set where a buffer is full or all of them together are.
    @exclusivity(unchecked) var needsFlush = false
    let bytesMax: Int
    let runBytesMax: Int

    init(budget: FileBudget) {
        bytesMax = budget.runBufferBytesMax
        runBytesMax = budget.runFlushBytes
    }

    /// A run of the open window has grown by so many bytes.
    func wrote(_ bytes: Int, _ kind: OutputKind) {
        writtenBytes += bytes
        if kind == .stacks { writtenStackBytes += bytes }
    }

    /// The next window has no runs yet.
    func windowClosed() {
        live.removeAll(keepingCapacity: live.count <= 64)
        writtenBytes = 0
        writtenStackBytes = 0
    }
}
