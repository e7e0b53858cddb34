import AnomalyRules
import SystemIO
import TraceModel

/// The rule for the rate of one kind of transfer between host and GPU.
struct TransferRules: BitwiseCopyable {
    private var usual = Ewma()
    private var alarm = Alarm()

    init() {}

    mutating func evaluate(_ bytesPerSecond: UInt64, kind: ByteView, _ context: EventContext) {
        guard context.isEnabled(.transferDrop) else { return }
        let rate = Double(bytesPerSecond)
        let mean = usual.mean
        let isEvaluated =
            mean > 0 && usual.count >= Ewma.samplesMin
            && Double(usual.count) >= context.threshold(.transferSamplesMin)
        usual.note(rate)
        guard isEvaluated else { return }
        let limit = mean * context.threshold(.transferDropPercent) / 100
        let verdict = alarm.observe(
            isAbove: rate < limit,
            isClear: rate >= mean * context.threshold(.transferClearPercent) / 100,
            at: context.time,
            cooldown: context.cooldown(.transferDrop)
        )
        guard let verdict else { return }
        context.raise(
            .init(
                rule: .transferDrop,
                value: rate,
                baseline: mean,
                score: rate / mean,
                severity: EventContext.severity(ratio: limit / max(rate, 1))
            ),
            verdict,
            key: StableHash.of(kind),
            process: .empty,
            """
            \(kind.string): \(EventContext.rounded(rate)) bytes a second, \
            usually \(EventContext.rounded(mean))
            """
        )
    }

    func encode(into buffer: inout RawBuffer) {
        usual.encode(into: &buffer)
        alarm.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        usual = try Ewma(decoding: &reader)
        alarm = try Alarm(decoding: &reader)
    }
}
