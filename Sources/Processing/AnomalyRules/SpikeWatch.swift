package import SystemIO
package import TraceModel

/// Looks for values of a series far above what is usual.
package struct SpikeWatch: BitwiseCopyable {
    package private(set) var usual = Ewma()
    private var alarm = Cooldown()

    package init() {}

    /// The score of a value far above what is usual, and whether it is raised; nil for any other value. Values up to
    /// `floor` are none; it is asked for only where the score is high enough.
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

    package func encode(into buffer: inout RawBuffer) {
        usual.encode(into: &buffer)
        alarm.encode(into: &buffer)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        usual = try Ewma(decoding: &reader)
        alarm = try Cooldown(decoding: &reader)
    }
}
