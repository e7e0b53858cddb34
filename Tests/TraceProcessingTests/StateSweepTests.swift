import Testing
import TraceModel

@testable import TraceProcessing

/// Which entries of a state give way: a pure decision.
@Suite struct StateSweepTests {
    private static let second: EpochNanoseconds = 1_000_000_000
    private static let start: EpochNanoseconds = 1_760_000_000 * second

    /// Positions of the entries that go, of entries used so many seconds before the sweep.
    private func gone(_ ages: [Double], bytes: Int = 10, freeing: Int) -> [Int] {
        var sweep = StateSweep(at: Self.start)
        let used = ages.map { StateSweep.stamp(Self.start - EpochNanoseconds($0 * 1e9)) }
        for stamp in used { sweep.note(stamp, bytes: bytes) }
        sweep.decide(freeing: freeing)
        return used.indices.filter { sweep.takes(used[$0], bytes: bytes) }
    }

    @Test func theOldestGoFirst() {
        #expect(gone([5, 100, 1, 3_000, 20], freeing: 20) == [1, 3])
        #expect(gone([5, 100, 1, 3_000, 20], freeing: 21) == [1, 3, 4])
        #expect(gone([1, 2, 3], freeing: 0) == [])
    }

    @Test func ofOneAgeTheFirstOnesGo() {
        #expect(gone([7, 7, 7, 7], freeing: 25) == [0, 1, 2])
        #expect(gone([7, 9, 7, 7], freeing: 25) == [0, 1, 2])
    }

    @Test func whereThereIsNotEnoughAllGo() {
        #expect(gone([1, 2, 3], freeing: 1_000) == [0, 1, 2])
        #expect(gone([1, 2, 3], freeing: .max) == [0, 1, 2])
        #expect(gone([], freeing: 5) == [])
    }

    /// A clock that was set back, or entries of a recording that lies years back.
    @Test func agesOutOfTheOrdinaryCount() {
        #expect(gone([-3_600, 0, 10], freeing: 10) == [2])
        #expect(gone([26_000_000, 2_600_000, 3_600], freeing: 20) == [0, 1])
    }

    /// Ages that differ by 4 % are distinguished, at any age.
    @Test func theOrderIsFine() {
        for age in [2.0, 60, 3_600, 86_400, 8_000_000] {
            #expect(gone([age, age * 1.04], freeing: 10) == [1], "\(age) s")
        }
    }

    @Test func whatGoesIsAboutWhatIsAskedFor() {
        var random = SplitMix(seed: 3)
        for _ in 0..<50 {
            let ages = (0..<400).map { _ in Double(random.below(100_000)) / 10 }
            let wanted = random.below(4_000)
            let freed = gone(ages, freeing: wanted).count * 10
            #expect(freed >= wanted && freed < wanted + 10)
        }
    }
}
