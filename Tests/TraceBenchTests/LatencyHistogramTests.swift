import TestSupport
import Testing
import TraceBench

@Suite struct LatencyHistogramTests {
    @Test func quantilesAreThoseOfTheSortedDurationsWithinAThirtySecond() {
        var generator = SeededGenerator(seed: 7)
        var histogram = LatencyRecorder()
        var all: [Int64] = []
        for _ in 0..<10_000 {
            let bits = Int.random(in: 0...40, using: &generator)
            let value = Int64.random(in: 0...(1 << Int64(bits)), using: &generator)
            histogram.record(value)
            all.append(value)
        }
        all.sort()
        for share in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let exact = all[Int((share * Double(all.count)).rounded(.up)) - 1]
            let found = histogram.quantile(share)
            #expect(found >= exact)
            #expect(Double(found) <= Double(exact) * (1 + 1.0 / 32) + 1)
        }
        #expect(histogram.maximum == all.last)
        #expect(histogram.count == all.count)
    }

    @Test func aMergeCountsBoth() {
        var first = LatencyRecorder()
        var second = LatencyRecorder()
        for value in 1...10 { first.record(Int64(value)) }
        for value in 11...20 { second.record(Int64(value)) }
        first.merge(second)
        #expect(first.count == 20)
        #expect(first.quantile(0.5) == 10)
        #expect(first.quantile(1) == 20)
        #expect(LatencyRecorder().quantile(0.5) == 0)
    }

    @Test func theLongestDurationFits() {
        var histogram = LatencyRecorder()
        histogram.record(.max)
        histogram.record(-1)
        #expect(histogram.quantile(1) == .max)
        #expect(histogram.quantile(0.5) == 0)
    }
}
