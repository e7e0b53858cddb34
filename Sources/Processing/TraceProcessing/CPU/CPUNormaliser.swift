import SystemIO
import TraceModel
import TraceWire

/// Converts a process's CPU events of either dialect into what statistics and rules use.
///
/// NEUTRACER: times are sums of sums and therefore useless, so CPU time is utilization times the time between
/// samples. Counts of migrations restart at 0 once an hour, which is not a restart of the process. The hotspot's
/// share is a fraction.
struct CPUNormaliser: BitwiseCopyable {
    /// The values of an event in a form that does not depend on the dialect.
    struct Sample {
        var utilizationPercent: Double
        var hotspotPercent: Double
        /// Microseconds.
        var onTime = Growth()
        /// Microseconds.
        var offTime = Growth()
        var migrations = Growth()
        var numaMigrations = Growth()
    }

    /// The longest time that one sample can represent.
    private static var sampleNanosecondsMax: Int64 { 10_000_000_000 }

    private(set) var onTime = CumulativeCounter()
    private(set) var offTime = CumulativeCounter()
    private(set) var migrations = CumulativeCounter()
    private(set) var numaMigrations = CumulativeCounter()
    /// The time of the last sample.
    private var lastTime = EpochNanoseconds.min

    init() {}

    /// Returns whether a counter shows that the state kept so far belongs to another process.
    @inline(__always) func isFalling(_ event: CPUEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (onTime.falls(to: event.onCPUMicroseconds)
                || offTime.falls(to: event.offCPUMicroseconds)
                || migrations.falls(to: UInt64(event.migrations))
                || numaMigrations.falls(to: UInt64(event.numaMigrations)))
    }

    /// Applies an event that is not late.
    @inline(__always) mutating func take(
        _ event: CPUEvent,
        _ process: ProcessIdentity.Sample,
        _ context: EventContext
    ) -> Sample {
        var sample = Sample(
            utilizationPercent: event.utilizationPercent,
            hotspotPercent: event.hotspotPercent
        )
        switch context.semantics {
        case .cumulative:
            sample.onTime = onTime.take(total: event.onCPUMicroseconds, process)
            sample.offTime = offTime.take(total: event.offCPUMicroseconds, process)
            sample.migrations = migrations.take(total: UInt64(event.migrations), process)
            sample.numaMigrations = numaMigrations.take(
                total: UInt64(event.numaMigrations),
                process
            )
        case .neutracer:
            sample.hotspotPercent *= 100
            takeTime(event.utilizationPercent, at: context.time, &sample)
            sample.migrations = migrations.take(running: UInt64(event.migrations), process)
            sample.numaMigrations = numaMigrations.take(
                running: UInt64(event.numaMigrations),
                process
            )
        }
        lastTime = context.time
        return sample
    }

    private mutating func takeTime(
        _ percent: Double,
        at time: EpochNanoseconds,
        _ sample: inout Sample
    ) {
        guard lastTime != .min, percent.isFinite else { return }
        let passed = min(max(time &- lastTime, 0), Self.sampleNanosecondsMax)
        let on = Double(passed) / 1e3 * min(max(percent, 0), 100_000) / 100
        let onMicroseconds = UInt64(on.rounded())
        let offMicroseconds = UInt64(max(Double(passed) / 1e3 - on, 0).rounded())
        onTime.grow(by: onMicroseconds)
        offTime.grow(by: offMicroseconds)
        sample.onTime = Growth(onMicroseconds)
        sample.offTime = Growth(offMicroseconds)
    }

    func encode(into buffer: inout RawBuffer) {
        onTime.encode(into: &buffer)
        offTime.encode(into: &buffer)
        migrations.encode(into: &buffer)
        numaMigrations.encode(into: &buffer)
        buffer.append(integer: lastTime)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        onTime = try CumulativeCounter(decoding: &reader)
        offTime = try CumulativeCounter(decoding: &reader)
        migrations = try CumulativeCounter(decoding: &reader)
        numaMigrations = try CumulativeCounter(decoding: &reader)
        if reader.version > StateVersion.beforeDialects {
            lastTime = try reader.integer(Int64.self)
        }
    }
}

extension CumulativeCounter {
    /// Applies a running total since the process began. `own`: the event's own part of it, which is all that is known
    /// of the window if the event is the process's first.
    @inline(__always) mutating func take(
        total sample: UInt64,
        _ process: ProcessIdentity.Sample,
        own: UInt64 = 0
    ) -> Growth {
        let inWindow = growth(to: sample, isRestart: process.isRestart)
        if process.isRestart { restart() }
        let counted = add(sample)
        return Growth(counted: counted, inWindow: process.isFirst ? min(sample, own) : inWindow)
    }

    /// Applies a running count of the agent's, which may restart at 0 at any time.
    @inline(__always) mutating func take(
        running sample: UInt64,
        _ process: ProcessIdentity.Sample,
        own: UInt64 = 0
    ) -> Growth {
        let counted = follow(sample)
        return Growth(counted: counted, inWindow: process.isFirst ? min(sample, own) : counted)
    }
}
