package import SystemIO
package import TraceModel

/// Exponentially weighted mean and variance of a series, and how far a value lies off them.
///
/// The first samples weigh alike, later ones 5 % each. The variance has a floor of 1 % of the mean; where
/// the mean is above 100, of (1 % of the mean)², as values with a unit make the former meaningless there.
package struct Ewma: BitwiseCopyable {
    private static let weightMin = 0.05
    /// A score beyond says no more, and infinity can't be written.
    private static let scoreMax = 1_000.0
    /// Fewer samples give no score.
    package static let samplesMin = 30

    package private(set) var mean = 0.0
    package private(set) var variance = 0.0
    package private(set) var count: UInt32 = 0

    package init() {}

    package var deviation: Double {
        let relative = 0.01 * mean
        return max(variance, max(abs(relative), relative * relative)).squareRoot()
    }

    /// Takes in a finite value.
    package mutating func note(_ value: Double) {
        if count < .max { count += 1 }
        let weight = max(Self.weightMin, 1 / Double(count))
        let difference = value - mean
        mean += weight * difference
        variance = (1 - weight) * (variance + weight * difference * difference)
    }

    /// The value's distance from the mean in deviations; nil before there are enough samples.
    package func score(of value: Double, samplesMin: Double) -> Double? {
        guard count >= Self.samplesMin, Double(count) >= samplesMin else { return nil }
        let difference = value - mean
        guard difference != 0 else { return 0 }
        return max(-Self.scoreMax, min(Self.scoreMax, difference / deviation))
    }

    /// The value's score against what came before; then takes it in, cut at `limit` deviations, so that an
    /// outlier doesn't become the measure of those after it.
    package mutating func observe(_ value: Double, limit: Double, samplesMin: Double) -> Double? {
        let score = score(of: value, samplesMin: samplesMin)
        guard let score, abs(score) > limit, deviation > 0 else {
            note(value)
            return score
        }
        note(mean + (score < 0 ? -limit : limit) * deviation)
        return score
    }

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: mean.bitPattern)
        buffer.append(integer: variance.bitPattern)
        buffer.append(integer: count)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        mean = Double(bitPattern: try reader.integer(UInt64.self))
        variance = Double(bitPattern: try reader.integer(UInt64.self))
        count = try reader.integer(UInt32.self)
    }
}
