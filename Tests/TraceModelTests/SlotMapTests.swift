import TestSupport
import Testing
import TraceModel

/// Who owns which slot as workers come and go.
@Suite struct SlotMapTests {
    private func held(_ map: SlotMap, _ resource: Resource) -> [Int] {
        (0..<map.workerCount(of: resource)).map {
            map.slots(of: WorkerName(resource: resource, index: $0)).count
        }
    }

    @Test(arguments: 0..<10 as Range<UInt64>) func rescalingIsFairAndMovesAsLittleAsItCan(
        seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        var map = SlotMap(workers: [.io: Int.random(in: 1...64, using: &generator)])
        for step in 0..<40 {
            let count = Int.random(in: 1...Limits.workersPerResourceMax, using: &generator)
            let next = map.rescaled(.io, to: count)
            let shares = held(next, .io)
            try #require(shares.count == count && shares.reduce(0, +) == Slot.count)
            let least = try #require(shares.min())
            let most = try #require(shares.max())
            try #require(most - least <= 1, "seed \(seed), step \(step): \(shares)")
            let moved = zip(map.owners(of: .io), next.owners(of: .io)).count { $0 != $1 }
            try #require(moved == fewestMoves(from: held(map, .io), to: count))
            for resource in Resource.allCases where resource != .io {
                #expect(next.owners(of: resource) == map.owners(of: resource))
            }
            map = next
        }
    }

    /// What retired workers held, and what stands above the larger of the two fair shares, of which only
    /// so many workers may keep the larger.
    private func fewestMoves(from held: [Int], to count: Int) -> Int {
        let small = Slot.count / count
        let larger = Slot.count % count
        let staying = held.prefix(count)
        let retired = held.dropFirst(count).reduce(0, +)
        let keepLarger = min(larger, staying.count { $0 > small })
        return retired + staying.reduce(0) { $0 + max(0, $1 - small) } - keepLarger
    }

    @Test func theSameCountMovesNothing() {
        for count in 1...Limits.workersPerResourceMax {
            let map = SlotMap(workers: [.gpu: count])
            #expect(map.rescaled(.gpu, to: count) == map)
        }
    }

    @Test func aMapIsReadBackAsItWas() throws {
        let map = SlotMap(workers: [.function: 7, .io: 64]).rescaled(.function, to: 3)
        let owners = Resource.allCases.map { map.owners(of: $0) }
        let counts = Resource.allCases.map { map.workerCount(of: $0) }
        #expect(SlotMap(owners: owners, workers: counts) == map)
        #expect(map.allWorkers.count == 3 + 1 + 1 + 1 + 64 + 1)
        for worker in map.allWorkers {
            for slot in map.slots(of: worker) {
                #expect(map.owner(of: slot, resource: worker.resource) == worker.index)
            }
        }
    }

    @Test func aMapOutOfShapeIsRefused() {
        let row = [UInt16](repeating: 0, count: Slot.count)
        let owners = [[UInt16]](repeating: row, count: Resource.count)
        let counts = [Int](repeating: 1, count: Resource.count)
        #expect(SlotMap(owners: owners, workers: counts) != nil)
        #expect(SlotMap(owners: Array(owners.dropLast()), workers: counts) == nil)
        #expect(SlotMap(owners: owners, workers: Array(counts.dropLast())) == nil)
        for count in [0, -1, Limits.workersPerResourceMax + 1] {
            #expect(SlotMap(owners: owners, workers: counts.dropLast() + [count]) == nil)
        }
        for wrong in [Array(row.dropLast()), row + [0], row.dropLast() + [1]] {
            #expect(SlotMap(owners: owners.dropLast() + [wrong], workers: counts) == nil)
        }
    }
}
