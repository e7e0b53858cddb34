import AnomalyRules
import SystemIO
import TraceModel

/// The rule for the bytes per second of a process: by the agent's counters, or, if it sends none, by the sum of its
/// events.
struct TrafficRules: BitwiseCopyable {
    /// The rule and its thresholds.
    struct Names {
        let rule: RuleID
        let zScore: Threshold
        let samplesMin: Threshold
        let bytesPerSecond: Threshold
        let factorMin: Threshold
    }

    private var hasTotals = false
    /// The sum of the events' bytes; saturates instead of wrapping.
    private var bytes: UInt64 = 0
    private var rate = CounterRate()
    private var spike = SpikeWatch()

    init() {}

    /// Evaluates the rule after an event. `total`: the agent's counters. `bytes`: the event's bytes.
    @inline(__always) mutating func evaluate(
        _ names: Names,
        total: (UInt64, UInt64),
        bytes eventBytes: UInt64,
        of process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(names.rule) else { return }
        let counted = Self.sum(total.0, total.1)
        if counted > 0, !hasTotals {
            hasTotals = true
            rate = CounterRate()
        }
        bytes = Self.sum(bytes, eventBytes)
        guard rate.note(hasTotals ? counted : bytes, at: context.time) else { return }
        let limit = context.threshold(names.zScore)
        let usual = spike.usual.mean
        let found = spike.observe(
            rate.perSecond,
            limit: limit,
            samplesMin: context.threshold(names.samplesMin),
            floor: max(
                context.threshold(names.bytesPerSecond),
                usual * context.threshold(names.factorMin)
            ),
            at: context.time,
            cooldown: context.cooldown(names.rule)
        )
        guard let (score, verdict) = found else { return }
        context.raise(
            .init(
                rule: names.rule,
                value: rate.perSecond,
                baseline: usual,
                score: score,
                severity: EventContext.severity(ratio: score / limit)
            ),
            verdict,
            process: process,
            """
            \(EventContext.rounded(rate.perSecond)) bytes a second, \
            usually \(EventContext.rounded(usual))
            """
        )
    }

    @inline(__always) private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: hasTotals ? 1 : 0)
        buffer.append(integer: bytes)
        rate.encode(into: &buffer)
        spike.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        hasTotals = try reader.integer(UInt8.self) == 1
        bytes = try reader.integer(UInt64.self)
        rate = try CounterRate(decoding: &reader)
        spike = try SpikeWatch(decoding: &reader)
    }
}
