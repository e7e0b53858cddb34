import Testing

@testable import TraceFiles

/// Compared with a sort whose stability is made explicit, for every kind of disorder.
struct StretchSortTests {
    private struct Item: BitwiseCopyable, Equatable {
        let key: UInt32
        let place: UInt32
    }

    private func check(_ keys: [UInt32]) {
        var items = keys.enumerated().map { Item(key: $1, place: UInt32($0)) }
        let expected = items.sorted { ($0.key, $0.place) < ($1.key, $1.place) }
        var sorter = NaturalMergeSort<Item>()
        // Twice: what is in order stays, and the sorter's memory is used again.
        for _ in 0..<2 {
            items.withUnsafeMutableBufferPointer { items in sorter.sort(items) { $0.key < $1.key } }
            #expect(items == expected)
        }
    }

    @Test func smallAndOrderlyInputs() {
        check([])
        check([1])
        check([2, 1])
        check([1, 1, 1])
        check(Array(0..<1_000))
        check((0..<1_000).reversed())
    }

    /// The batches of several senders, one after the other, each in order.
    @Test(arguments: 0..<6) func interleavedStretches(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var keys: [UInt32] = []
        for stretch in 0..<UInt32(1 + seed * 5) {
            keys += (0..<100).map { _ in stretch * 20 + UInt32(random.next() % 100) }.sorted()
        }
        check(keys)
    }

    @Test(arguments: 0..<6) func noOrderAtAll(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        check((0..<777).map { _ in UInt32(truncatingIfNeeded: random.next() % 50) })
    }
}
