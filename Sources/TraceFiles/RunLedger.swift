/// What all run buffers of a worker hold together.
final class RunLedger {
    @exclusivity(unchecked) var bytes = 0
    /// Set where a buffer is full or all of them together are.
    @exclusivity(unchecked) var needsFlush = false
    let bytesMax: Int
    let runBytesMax: Int

    init(budget: FileBudget) {
        bytesMax = budget.runBufferBytesMax
        runBytesMax = budget.runFlushBytes
    }
}
