import SystemIO
import TestSupport
import Testing
import TraceModel
import TraceSummaries

struct QuantileSketchTests {
    private static let shares = [0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1]

    private static func sketch(_ values: some Sequence<UInt64>) -> QuantileSketch {
        var sketch = QuantileSketch()
        for value in values { sketch.insert(value) }
        return sketch
    }

    /// Values spread evenly over the given number of doublings, starting at `first`.
    private static func values(
        _ count: Int,
        from first: Double,
        doublings: Double,
        _ random: inout SeededGenerator
    ) -> [UInt64] {
        (0..<count).map { _ in
            let exponent = Double.random(in: 0..<doublings, using: &random)
            var value = first
            for _ in 0..<Int(exponent) { value *= 2 }
            return UInt64(value * (1 + exponent - exponent.rounded(.down)))
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func quantilesAreWithinOnePercent(
        _ seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        for (first, doublings) in [(1.0, 3.0), (50, 10), (900, 18), (1e12, 19.9), (4e18, 1.9)] {
            let values = Self.values(3_000, from: first, doublings: doublings, &random).sorted()
            let sketch = Self.sketch(values.shuffled(using: &random))
            #expect(sketch.count == 3_000)
            for share in Self.shares {
                let exact = Double(
                    values[max(0, Int((share * Double(values.count)).rounded(.up)) - 1)]
                )
                let found = Double(try #require(sketch.quantile(share)))
                #expect(abs(found - exact) <= exact * 0.01)
            }
        }
    }

    @Test func smallAndExtremeValuesAreAccurate() throws {
        for value in (0...51 as ClosedRange<UInt64>) {
            #expect(Self.sketch([value]).quantile(0.5) == value)
        }
        for value in [UInt64.max, .max - 1, 1 << 63, (1 << 62) + 12_345] as [UInt64] {
            let found = Double(try #require(Self.sketch([value]).quantile(0.5)))
            #expect(abs(found - Double(value)) <= Double(value) * 0.01)
        }
        #expect(QuantileSketch().quantile(0.5) == nil && QuantileSketch().isEmpty)
    }

    /// Also if buckets must be merged.
    @Test(arguments: [7, 8, 9] as [UInt64]) func mergingDoesNotDependOnTheOrder(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let values = Self.values(40_000, from: 1, doublings: 62, &random)
        let all = Self.sketch(values)
        #expect(all.bucketCount == Limits.sketchBucketsMax)
        let parts = (0..<5).map { part in
            Self.sketch(values.indices.filter { $0 % 5 == part }.map { values[$0] })
        }
        var left = QuantileSketch()
        for part in parts { left.merge(part) }
        var right = QuantileSketch()
        for part in parts.reversed() {
            var sum = part
            sum.merge(right)
            right = sum
        }
        var pairs = parts[0]
        pairs.merge(parts[1])
        var others = parts[2]
        others.merge(parts[3])
        others.merge(parts[4])
        pairs.merge(others)
        #expect(left == all && right == all && pairs == all)
        #expect(all.count == 40_000)
    }

    @Test func theBucketLimitAffectsLowQuantilesOnly() throws {
        var random = SeededGenerator(seed: 10)
        let values = Self.values(40_000, from: 1, doublings: 62, &random)
        let sketch = Self.sketch(values)
        let exact = Double(values.sorted()[35_999])
        let found = Double(try #require(sketch.quantile(0.9)))
        #expect(abs(found - exact) <= exact * 0.01)
        // 1,024 buckets cover the upper third.
        #expect(try #require(sketch.quantile(0.1)) > 1 << 40)
    }

    @Test func stateRoundTrips() throws {
        var random = SeededGenerator(seed: 11)
        let sketch = Self.sketch(Self.values(900, from: 1, doublings: 30, &random))
        var buffer = RawBuffer()
        sketch.encode(into: &buffer)
        var reader = StateReader(buffer.bytes)
        #expect(try QuantileSketch(decoding: &reader) == sketch)
        #expect(reader.remaining == 0)
        var short = StateReader(UnsafeRawBufferPointer(rebasing: buffer.bytes.dropLast()))
        #expect(throws: TraceError.self) { try QuantileSketch(decoding: &short) }
    }
}
