import SystemIO
import Testing
import TraceModel

@testable import TraceProcessing

/// Tables that positions are found in, against a list.
@Suite struct IndexTableTests {
    /// Entries come, go one by one, and go together while the others move up. Hashes are few, so that many begin at one
    /// cell and run over the table's end.
    @Test func positionsAreFoundWhateverMoves() {
        for seed in 0..<20 {
            var random = SplitMix(seed: UInt64(seed))
            var table = IndexTable()
            var hashes: [UInt64] = []
            for _ in 0..<400 {
                switch random.below(8) {
                case 0: renumber(&table, &hashes) { _ in random.below(4) == 0 }
                case 1 where seed % 4 == 0: renumber(&table, &hashes) { _ in random.below(10) > 0 }
                case 2, 3:
                    guard let last = hashes.popLast() else { continue }
                    table.remove(last, position: hashes.count)
                default:
                    for _ in 0..<random.below(8) {
                        // The last cells of any table, and its first ones.
                        let hash = UInt64(bitPattern: Int64(random.below(12) - 6))
                        table.insert(hash, position: hashes.count)
                        hashes.append(hash)
                    }
                }
                #expect(table.count == hashes.count)
                for (position, hash) in hashes.enumerated() {
                    #expect(table.find(hash) { $0 == position } == position)
                }
                #expect(table.find(3) { $0 >= hashes.count } == nil)
            }
        }
    }

    private func renumber(
        _ table: inout IndexTable,
        _ hashes: inout [UInt64],
        _ isGone: (UInt64) -> Bool
    ) {
        var positions = RawArray<UInt32>(capacity: max(hashes.count, 1))
        var kept: [UInt64] = []
        for hash in hashes {
            if isGone(hash) {
                positions.append(.max)
            } else {
                positions.append(UInt32(kept.count))
                kept.append(hash)
            }
        }
        table.move(to: positions)
        hashes = kept
    }

    /// Functions are found by their names where many have gone, few, and where others have come in their places.
    @Test func functionsKeepTheirOrderAndWhatTheyCount() {
        var random = SplitMix(seed: 5)
        var store = EntryStore<FunctionStatistics>()
        var expected: [UInt64] = []
        var next: UInt64 = 0
        for round in 0..<60 {
            for _ in 0..<random.below(40) {
                var name = "f\(next)"
                let position = name.withUTF8 {
                    var function = FunctionStatistics(name: ByteView(UnsafeRawBufferPointer($0)))
                    function.entries = next
                    return store.append(function)
                }
                #expect(position == expected.count)
                expected.append(next)
                next += 1
            }
            let share = [1, 2, 9][round % 3]
            let isKept = expected.map { _ in random.below(10) >= share }
            store.keep { isKept[$0] }
            expected = zip(expected, isKept).filter { $0.1 }.map { $0.0 }
            #expect(store.count == expected.count)
            for position in expected.indices {
                #expect(store[position].pointee.entries == expected[position])
                let name = store[position].pointee.name.view
                #expect(String(decoding: name.buffer, as: UTF8.self) == "f\(expected[position])")
            }
        }
    }
}
