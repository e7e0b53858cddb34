/// A histogram of durations with a resolution of 1/32. Fixed memory; recording does not allocate.
package struct LatencyRecorder: Sendable {
    private static let subBits = 5
    private static let subCount = 1 << subBits

    private var buckets = [Int](repeating: 0, count: 64 * subCount)
    package private(set) var count = 0
    /// The longest duration, in ns.
    package private(set) var maximum: Int64 = 0

    package init() {}

    /// Records a duration.
    package mutating func record(_ nanoseconds: Int64) {
        let value = max(0, nanoseconds)
        buckets[Self.bucket(of: value)] += 1
        count += 1
        maximum = max(maximum, value)
    }

    /// Adds another recorder's durations.
    package mutating func merge(_ other: LatencyRecorder) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        maximum = max(maximum, other.maximum)
    }

    /// Returns the duration in ns that a share `quantile` (0–1) of all durations does not exceed. Returns 0 if
    /// there are none.
    package func quantile(_ quantile: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let rank = max(1, Int((quantile * Double(count)).rounded(.up)))
        var seen = 0
        for (index, bucket) in buckets.enumerated() {
            seen += bucket
            if seen >= rank { return min(Self.upperBound(of: index), maximum) }
        }
        return maximum
    }

    private static func bucket(of value: Int64) -> Int {
        guard value >= subCount else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount - subBits
        return (exponent + 1) * subCount + Int(value >> Int64(exponent)) - subCount
    }

    private static func upperBound(of index: Int) -> Int64 {
        guard index >= subCount else { return Int64(index) }
        let exponent = index / subCount - 1
        let mantissa = Int64(index % subCount + subCount)
        // In the last bucket this wraps to the greatest number.
        return ((mantissa + 1) << Int64(exponent)) &- 1
    }
}
