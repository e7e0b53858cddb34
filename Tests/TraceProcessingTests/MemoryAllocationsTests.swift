import SystemIO
import Testing
import TraceModel
import TraceWire

@testable import TraceProcessing

@Suite struct MemoryAllocationsTests {
    @Test func indexFindsWhatIsThereAfterRemovals() {
        // Few hashes, so that chains run into one another and around the end.
        for seed in 1...200 as ClosedRange<UInt64> {
            var random = SplitMix(seed: seed)
            var index = IndexTable()
            var filed: [Int: UInt64] = [:]
            for step in 0..<300 {
                if random.below(3) > 0 || filed.isEmpty {
                    let hash = UInt64(random.below(12)) &* 5
                    index.insert(hash, position: step)
                    filed[step] = hash
                } else if let (position, hash) = filed.min(by: { $0.key < $1.key }) {
                    index.remove(hash, position: position)
                    filed[position] = nil
                    #expect(index.find(hash, { $0 == position }) == nil)
                }
                #expect(index.count == filed.count)
            }
            for (position, hash) in filed {
                #expect(index.find(hash, { $0 == position }) == position, "seed \(seed)")
            }
        }
    }

    @Test func onlyWhatWasNotReleasedIsOutstanding() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = SplitMix(seed: seed)
            var table = MemoryAllocations()
            var naive: [UInt64: UInt64] = [:]
            for step in 0..<2_000 {
                let address = UInt64(random.below(200) + 1)
                if random.below(2) == 0 {
                    let size = UInt64(random.below(9_999))
                    table.insert(
                        .init(address: address, bytes: size, stackID: 1, time: Int64(step))
                    )
                    naive[address] = size
                } else {
                    table.release(address, at: Int64(step))
                    naive[address] = nil
                }
                #expect(table.count == naive.count && table.bytes == naive.values.reduce(0, +))
            }
        }
    }

    @Test func whatComesLateNeitherReplacesNorReleasesTheNewer() {
        var table = MemoryAllocations()
        table.insert(.init(address: 1, bytes: 10, stackID: 0, time: 100))
        table.insert(.init(address: 1, bytes: 99, stackID: 0, time: 50))
        #expect(table.bytes == 10)
        table.release(1, at: 60)
        #expect(table.count == 1)
        table.release(1, at: 100)
        #expect(table.count == 0 && table.bytes == 0)
    }
}
