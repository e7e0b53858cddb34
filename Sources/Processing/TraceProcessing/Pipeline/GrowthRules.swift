import AnomalyRules
import SystemIO
import TraceModel

/// The rule for an amount of memory that keeps growing.
struct GrowthRules: BitwiseCopyable {
    /// The rule and its thresholds.
    struct Names {
        let rule: RuleID
        let percentPerHour: Threshold
        let spanSeconds: Threshold
        let risingPercent: Threshold
    }

    private var trend = Trend()
    private var alarm = Alarm()

    init() {}

    /// Evaluates the rule at the context's time. `amount` returns the amount up to the end of a sampling window;
    /// `detail` returns the end of a finding's message.
    @inline(__always) mutating func evaluate(
        _ names: Names,
        of process: ByteView,
        _ context: EventContext,
        amount: (_ windowEnd: EpochNanoseconds) -> Double,
        detail: () -> String = { "" }
    ) {
        guard context.isEnabled(names.rule) else { return }
        let span = Int64(context.threshold(names.spanSeconds) * 1e9)
        guard let growth = trend.advance(to: context.time, span: span, value: amount) else {
            return
        }
        evaluate(growth, names, process, context, detail)
    }

    private mutating func evaluate(
        _ growth: Trend.Growth,
        _ names: Names,
        _ process: ByteView,
        _ context: EventContext,
        _ detail: () -> String
    ) {
        let percent = growth.perHour * 100
        let limit = context.threshold(names.percentPerHour)
        let isSteady = growth.rising * 100 >= context.threshold(names.risingPercent)
        let verdict = alarm.observe(
            isAbove: isSteady && percent >= limit,
            isClear: !isSteady || percent < limit / 2,
            at: context.time,
            cooldown: context.cooldown(names.rule)
        )
        guard let verdict else { return }
        context.raise(
            .above(names.rule, percent, limit),
            verdict,
            process: process,
            """
            \(EventContext.rounded(growth.mean)) bytes, growing by \(EventContext.rounded(percent)) % \
            an hour, in \(EventContext.rounded(growth.rising * 100)) % of the windows\
            \(detail())
            """
        )
    }

    func encode(into buffer: inout RawBuffer) {
        trend.encode(into: &buffer)
        alarm.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        trend = try Trend(decoding: &reader)
        alarm = try Alarm(decoding: &reader)
    }
}
