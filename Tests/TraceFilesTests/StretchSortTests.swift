import Testing

@testable import TraceFiles

/// Compares `NaturalMergeSort` with a sort that uses the original position as the last key.
struct StretchSortTests {
    private struct Item: BitwiseCopyable, Equatable {
        let key: UInt32
        let position: UInt32
    }

    private func check(_ keys: [UInt32]) {
        var items = keys.enumerated().map { Item(key: $1, position: UInt32($0)) }
        let expected = items.sorted { ($0.key, $0.position) < ($1.key, $1.position) }
        var sorter = NaturalMergeSort<Item>()
        // Sorts twice: sorted input stays as it is, and the sorter reuses its memory.
        for _ in 0..<2 {
            items.withUnsafeMutableBufferPointer { items in sorter.sort(items) { $0.key < $1.key } }
            #expect(items == expected)
        }
    }

    @Test func smallAndSortedInputs() {
        check([])
        check([1])
        check([2, 1])
        check([1, 1, 1])
        check(Array(0..<1_000))
        check((0..<1_000).reversed())
    }

    /// The batches of several senders, one after the other, each of them sorted.
    @Test(arguments: 0..<6) func interleavedSortedSpans(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var keys: [UInt32] = []
        for span in 0..<UInt32(1 + seed * 5) {
            keys += (0..<100).map { _ in span * 20 + UInt32(random.next() % 100) }.sorted()
        }
        check(keys)
    }

    @Test(arguments: 0..<6) func randomOrder(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        check((0..<777).map { _ in UInt32(truncatingIfNeeded: random.next() % 50) })
    }
}
