import AnomalyRules
import SystemIO
import TraceModel
import TraceWire

/// The rules' state for one process's CPU use.
struct CPURules: BitwiseCopyable {
    private var utilization = SlidingMean()
    private var high = Alarm()
    private var storm = Alarm()
    private var numa = Alarm()
    private var hotspot = Alarm()

    init() {}

    /// Evaluates a sample of the process's own time.
    @inline(__always) mutating func evaluate(
        _ sample: CPUNormaliser.Sample,
        _ event: CPUEvent,
        cpusSeen: Int,
        of process: ByteView,
        _ context: EventContext
    ) {
        evaluateUtilization(sample.utilizationPercent, process, context)
        evaluateHotspot(sample.hotspotPercent, event.hotspotCPU, cpusSeen, process, context)
    }

    /// Evaluates a newly measured rate of migrations.
    mutating func evaluate(
        migrationsPerSecond rate: Double,
        of process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.migrationStorm) else { return }
        let limit = context.threshold(.migrationsRaisePerSecond)
        let verdict = storm.observe(
            isAbove: rate > limit,
            isClear: rate < context.threshold(.migrationsClearPerSecond),
            at: context.time,
            cooldown: context.cooldown(.migrationStorm)
        )
        guard let verdict else { return }
        context.raise(
            .above(.migrationStorm, rate, limit),
            verdict,
            process: process,
            "\(EventContext.rounded(rate)) migrations a second"
        )
    }

    /// Evaluates a newly measured rate of migrations between NUMA nodes.
    mutating func evaluate(
        numaPerSecond rate: Double,
        of process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.numaMigration) else { return }
        let limit = context.threshold(.numaRaisePerSecond)
        let verdict = numa.observe(
            isAbove: rate > limit,
            isClear: rate < context.threshold(.numaClearPerSecond),
            at: context.time,
            cooldown: context.cooldown(.numaMigration)
        )
        guard let verdict else { return }
        context.raise(
            .above(.numaMigration, rate, limit),
            verdict,
            process: process,
            "\(EventContext.rounded(rate)) migrations between NUMA nodes a second"
        )
    }

    @inline(__always) private mutating func evaluateUtilization(
        _ percent: Double,
        _ process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.highUtilization), percent.isFinite else { return }
        let seconds = context.threshold(.utilizationWindowSeconds)
        let mean = utilization.note(percent, at: context.time, window: Int64(seconds * 1e9))
        guard let mean else { return }
        let limit = context.threshold(.utilizationRaisePercent)
        let verdict = high.observe(
            isAbove: mean > limit,
            isClear: mean < context.threshold(.utilizationClearPercent),
            at: context.time,
            cooldown: context.cooldown(.highUtilization)
        )
        guard let verdict else { return }
        context.raise(
            .above(.highUtilization, mean, limit),
            verdict,
            process: process,
            "\(EventContext.rounded(mean)) % of a CPU over \(EventContext.rounded(seconds)) s"
        )
    }

    @inline(__always) private mutating func evaluateHotspot(
        _ percent: Double,
        _ cpu: UInt32,
        _ cpusSeen: Int,
        _ process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.cpuHotspot), percent.isFinite else { return }
        let limit = context.threshold(.hotspotRaisePercent)
        let isEnough = Double(cpusSeen) >= context.threshold(.hotspotCPUsMin)
        let verdict = hotspot.observe(
            isAbove: isEnough && percent > limit,
            isClear: percent < context.threshold(.hotspotClearPercent),
            at: context.time,
            cooldown: context.cooldown(.cpuHotspot)
        )
        guard let verdict else { return }
        context.raise(
            .above(.cpuHotspot, percent, limit),
            verdict,
            process: process,
            """
            \(EventContext.rounded(percent)) % of the time on CPU \(cpu), \
            of \(cpusSeen) seen
            """
        )
    }

    func encode(into buffer: inout RawBuffer) {
        utilization.encode(into: &buffer)
        for alarm in [high, storm, numa, hotspot] { alarm.encode(into: &buffer) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        utilization = try SlidingMean(decoding: &reader)
        high = try Alarm(decoding: &reader)
        storm = try Alarm(decoding: &reader)
        numa = try Alarm(decoding: &reader)
        hotspot = try Alarm(decoding: &reader)
    }
}
