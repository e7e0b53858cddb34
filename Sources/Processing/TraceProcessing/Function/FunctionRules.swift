import AnomalyRules
import Glibc
import SystemIO
import TraceModel

/// The rules' state for one function of one process.
struct FunctionRules: BitwiseCopyable {
    private var durations = SpikeWatch()
    private var slow = Cooldown()
    private var stuck = Cooldown()

    init() {}

    /// Evaluates a call that has ended. Durations are compared by their logarithm, within the precision of
    /// timestamps: `resolution` is the smallest difference between two of them, in nanoseconds. `key` identifies the
    /// function within the process.
    @inline(__always) mutating func evaluate(
        nanoseconds: Int64,
        resolution: Int64,
        isSlow: Bool,
        of function: ByteView,
        key: UInt64,
        _ context: EventContext
    ) {
        if isSlow, context.isEnabled(.slowCall) {
            let verdict = slow.fire(at: context.time, cooldown: context.cooldown(.slowCall))
            raiseSlow(nanoseconds, verdict, function, key, context)
        }
        guard context.isEnabled(.durationOutlier) else { return }
        let usual = durations.usual.mean
        let found = durations.observe(
            log(Double(max(nanoseconds, resolution))),
            limit: context.threshold(.durationZScore),
            samplesMin: context.threshold(.durationSamplesMin),
            floor: log(exp(usual) + Double(resolution)),
            at: context.time,
            cooldown: context.cooldown(.durationOutlier)
        )
        guard let (score, verdict) = found else { return }
        raiseOutlier(nanoseconds, score, verdict, function, key, context)
    }

    /// Evaluates a call that has been open for `nanoseconds`.
    mutating func evaluateOpen(
        nanoseconds: Int64,
        of function: ByteView,
        key: UInt64,
        _ context: EventContext
    ) {
        let verdict = stuck.fire(at: context.time, cooldown: context.cooldown(.stuckCall))
        let seconds = Double(nanoseconds) / 1e9
        let limit = context.threshold(.stuckCallSeconds)
        context.raise(
            .init(
                rule: .stuckCall,
                value: seconds,
                baseline: limit,
                score: seconds / limit,
                severity: EventContext.severity(ratio: seconds / limit)
            ),
            verdict,
            key: key,
            process: .empty,
            "\(function.string) has been open for \(EventContext.rounded(seconds)) s"
        )
    }

    private func raiseSlow(
        _ nanoseconds: Int64,
        _ verdict: FindingVerdict,
        _ function: ByteView,
        _ key: UInt64,
        _ context: EventContext
    ) {
        let milliseconds = Double(nanoseconds) / 1e6
        let limit = context.threshold(.slowCallMilliseconds)
        context.raise(
            .init(
                rule: .slowCall,
                value: milliseconds,
                baseline: limit,
                score: milliseconds / max(limit, 1e-6),
                severity: EventContext.severity(ratio: milliseconds / max(limit, 1e-6))
            ),
            verdict,
            key: key,
            process: .empty,
            "\(function.string) took \(EventContext.rounded(milliseconds)) ms"
        )
    }

    private func raiseOutlier(
        _ nanoseconds: Int64,
        _ score: Double,
        _ verdict: FindingVerdict,
        _ function: ByteView,
        _ key: UInt64,
        _ context: EventContext
    ) {
        let milliseconds = Double(nanoseconds) / 1e6
        let usual = exp(durations.usual.mean) / 1e6
        context.raise(
            .init(
                rule: .durationOutlier,
                value: milliseconds,
                baseline: usual,
                score: score,
                severity: EventContext.severity(ratio: score / context.threshold(.durationZScore))
            ),
            verdict,
            key: key,
            process: .empty,
            """
            \(function.string) took \(EventContext.rounded(milliseconds)) ms, \
            usually about \(EventContext.rounded(usual)) ms
            """
        )
    }

    func encode(into buffer: inout RawBuffer) {
        durations.encode(into: &buffer)
        slow.encode(into: &buffer)
        stuck.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        durations = try SpikeWatch(decoding: &reader)
        slow = try Cooldown(decoding: &reader)
        stuck = try Cooldown(decoding: &reader)
    }
}
