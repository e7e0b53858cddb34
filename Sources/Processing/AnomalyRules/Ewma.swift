package import SystemIO
package import TraceModel

/// Exponentially weighted mean and variance of a series, and the distance of a value from them.
///
/// The first samples have equal weight, later ones 5 % each. The variance has a floor of 1 % of the mean. Where the
/// mean is above 100, the floor is (1 % of the mean)², because for values with a unit the former has no meaning there.
package struct Ewma: BitwiseCopyable {
    private static let weightMin = 0.05
    /// Scores are clipped here: a higher one carries no information, and infinity can't be written.
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

    /// Adds a finite value.
    package mutating func note(_ value: Double) {
        if count < .max { count += 1 }
        let weight = max(Self.weightMin, 1 / Double(count))
        let difference = value - mean
        mean += weight * difference
        variance = (1 - weight) * (variance + weight * difference * difference)
    }

    /// Returns the value's distance from the mean in deviations, or nil before there are enough samples.
    package func score(of value: Double, samplesMin: Double) -> Double? {
        guard count >= Self.samplesMin, Double(count) >= samplesMin else { return nil }
        let difference = value - mean
        guard difference != 0 else { return 0 }
        return max(-Self.scoreMax, min(Self.scoreMax, difference / deviation))
    }

    /// Returns the value's score against the earlier values, then adds the value.
    /// The value is clipped at `limit` deviations, so that an outlier does not distort the baseline.
    package mutating func observe(_ value: Double, limit: Double, samplesMin: Double) -> Double? {
        let score = score(of: value, samplesMin: samplesMin)
        guard let score, abs(score) > limit, deviation > 0 else {
            note(value)
            return score
        }
        note(mean + (score < 0 ? -limit : limit) * deviation)
        return score
    }

    /// Appends the state as `init(decoding:)` reads it.
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

/// The mean of the samples of a sliding window, kept in ten parts.
package struct SlidingMean: BitwiseCopyable {
    private static let samplesMin: UInt32 = 10

    private var sums = InlineArray<10, Double>(repeating: 0)
    private var counts = InlineArray<10, UInt32>(repeating: 0)
    /// Nanoseconds of one part; 0 before the first sample.
    private var length: Int64 = 0
    /// The newest part's number since the epoch.
    private var newest: Int64 = 0
    private var first: Int64 = 0

    package init() {}

    /// Adds a sample and returns the mean, or nil while the samples do not span `window` nanoseconds or are too few.
    /// Another window length starts anew. A sample older than the newest part is added to that part.
    package mutating func note(_ value: Double, at time: Int64, window: Int64) -> Double? {
        let length = max(window / 10, 1)
        let part = time / length
        if length != self.length {
            self = SlidingMean()
            self.length = length
            newest = part
            first = time
        }
        if part > newest { advance(to: part) }
        let at = Self.cell(newest)
        sums[at] += value
        counts[at] += 1
        return mean(at: time, window: window)
    }

    private mutating func advance(to part: Int64) {
        let (distance, overflow) = part.subtractingReportingOverflow(newest)
        let steps = overflow ? 10 : min(distance, 10)
        for step in 0..<steps {
            sums[Self.cell(part - step)] = 0
            counts[Self.cell(part - step)] = 0
        }
        newest = part
    }

    private static func cell(_ part: Int64) -> Int { Int((part % 10 + 10) % 10) }

    private func mean(at time: Int64, window: Int64) -> Double? {
        let (span, overflow) = time.subtractingReportingOverflow(first)
        var sum = 0.0
        var count: UInt32 = 0
        for index in sums.indices {
            sum += sums[index]
            count += counts[index]
        }
        guard overflow || span >= window, count >= Self.samplesMin else { return nil }
        return sum / Double(count)
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        for index in sums.indices {
            buffer.append(integer: sums[index].bitPattern)
            buffer.append(integer: counts[index])
        }
        buffer.append(integer: length)
        buffer.append(integer: newest)
        buffer.append(integer: first)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for index in sums.indices {
            sums[index] = Double(bitPattern: try reader.integer(UInt64.self))
            counts[index] = try reader.integer(UInt32.self)
        }
        length = try reader.integer(Int64.self)
        newest = try reader.integer(Int64.self)
        first = try reader.integer(Int64.self)
    }
}

/// The rate of an occurrence: in the current second, and as the mean of the minute before it.
package struct OccurrenceRate: BitwiseCopyable {
    private static let second: Int64 = 1_000_000_000

    private var counts = InlineArray<60, UInt32>(repeating: 0)
    private var sum: UInt64 = 0
    private var running: Int64 = .min
    /// Occurrences in the current second.
    package private(set) var count: UInt32 = 0

    package init() {}

    /// Mean per second over the 60 seconds before the current one.
    package var minuteMean: Double { Double(sum) / 60 }

    /// Counts an occurrence. One that is older than the current second is counted in the current one.
    package mutating func note(at time: Int64) {
        let second = time / Self.second
        if running == .min { running = second }
        if second > running { advance(to: second) }
        if count < .max { count += 1 }
    }

    private mutating func advance(to second: Int64) {
        put(count, second: running)
        for silent in 1..<max(1, min(61, second - running)) { put(0, second: running + silent) }
        running = second
        count = 0
    }

    private mutating func put(_ count: UInt32, second: Int64) {
        let cell = Int((second % 60 + 60) % 60)
        sum = sum - UInt64(counts[cell]) + UInt64(count)
        counts[cell] = count
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        for index in counts.indices { buffer.append(integer: counts[index]) }
        buffer.append(integer: running)
        buffer.append(integer: count)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for index in counts.indices {
            counts[index] = try reader.integer(UInt32.self)
            sum += UInt64(counts[index])
        }
        running = try reader.integer(Int64.self)
        count = try reader.integer(UInt32.self)
    }
}

/// Detects values of a series that are far above the usual.
package struct SpikeWatch: BitwiseCopyable {
    package private(set) var usual = Ewma()
    private var alarm = Cooldown()

    package init() {}

    /// Returns the score of a value far above the usual, and whether it is raised; nil for any other value. Values up
    /// to `floor` are not findings; it is evaluated only where the score is high enough.
    package mutating func observe(
        _ value: Double,
        limit: Double,
        samplesMin: Double,
        floor: @autoclosure () -> Double = -.infinity,
        at time: Int64,
        cooldown: Int64
    ) -> (score: Double, verdict: FindingVerdict)? {
        let score = usual.observe(value, limit: limit, samplesMin: samplesMin)
        guard let score, score >= limit, value > floor() else { return nil }
        return (score, alarm.fire(at: time, cooldown: cooldown))
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        usual.encode(into: &buffer)
        alarm.encode(into: &buffer)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        usual = try Ewma(decoding: &reader)
        alarm = try Cooldown(decoding: &reader)
    }
}
