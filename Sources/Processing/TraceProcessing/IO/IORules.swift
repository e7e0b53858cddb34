import AnomalyRules
import Glibc
import SystemIO
import TraceModel
import TraceWire

/// What the rules remember of one process's I/O.
struct IORules: BitwiseCopyable {
    private static let spike = TrafficRules.Names(
        rule: .throughputSpike,
        zScore: .throughputZScore,
        samplesMin: .throughputSamplesMin,
        bytesPerSecond: .throughputBytesPerSecond,
        factorMin: .throughputFactorMin
    )

    /// By operation.
    private var slow = InlineArray<3, Cooldown>(repeating: Cooldown())
    private var latencies = InlineArray<3, SpikeWatch>(repeating: SpikeWatch())
    private var traffic = TrafficRules()

    init() {}

    /// Judges one operation. Latencies are compared by their logarithm; what is no duration is passed over.
    @inline(__always) mutating func judge(
        _ event: IOEvent,
        operation: ByteView,
        of process: ByteView,
        _ context: EventContext
    ) {
        let milliseconds = event.latencyMilliseconds
        guard milliseconds.isFinite, milliseconds > 0 else { return }
        let kind = IOOperation(operation).rawValue
        let limit = context.threshold(.slowIOMilliseconds)
        if milliseconds > limit, context.isEnabled(.slowIO) {
            context.raise(
                .above(.slowIO, milliseconds, limit),
                slow[kind].fire(at: context.time, cooldown: context.cooldown(.slowIO)),
                key: UInt64(kind),
                process: process,
                "\(operation.string) took \(EventContext.rounded(milliseconds)) ms"
            )
        }
        guard context.isEnabled(.latencyOutlier) else { return }
        let found = latencies[kind].observe(
            log(max(milliseconds * 1e6, 1)),
            limit: context.threshold(.latencyZScore),
            samplesMin: context.threshold(.latencySamplesMin),
            at: context.time,
            cooldown: context.cooldown(.latencyOutlier)
        )
        guard let (score, verdict) = found else { return }
        raiseOutlier(milliseconds, score, verdict, kind, operation, process, context)
    }

    private func raiseOutlier(
        _ milliseconds: Double,
        _ score: Double,
        _ verdict: FindingVerdict,
        _ kind: Int,
        _ operation: ByteView,
        _ process: ByteView,
        _ context: EventContext
    ) {
        let usual = exp(latencies[kind].usual.mean) / 1e6
        context.raise(
            .init(
                rule: .latencyOutlier,
                value: milliseconds,
                baseline: usual,
                score: score,
                severity: EventContext.severity(ratio: score / context.threshold(.latencyZScore))
            ),
            verdict,
            key: UInt64(kind),
            process: process,
            """
            \(operation.string) took \(EventContext.rounded(milliseconds)) ms, \
            usually about \(EventContext.rounded(usual)) ms
            """
        )
    }

    /// Judges what the agent counts.
    @inline(__always) mutating func judgeTraffic(
        _ event: IOEvent,
        total: (UInt64, UInt64),
        of process: ByteView,
        _ context: EventContext
    ) { traffic.judge(Self.spike, total: total, bytes: event.byteCount, of: process, context) }

    /// The traced process is another one.
    mutating func restart() { self = IORules() }

    func encode(into buffer: inout RawBuffer) {
        for index in slow.indices { slow[index].encode(into: &buffer) }
        for index in latencies.indices { latencies[index].encode(into: &buffer) }
        traffic.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        if reader.version <= StateVersion.beforeDialects {
            // All operations had one.
            slow = InlineArray(repeating: try Cooldown(decoding: &reader))
        } else {
            for index in slow.indices { slow[index] = try Cooldown(decoding: &reader) }
        }
        for index in latencies.indices { latencies[index] = try SpikeWatch(decoding: &reader) }
        traffic = try TrafficRules(decoding: &reader)
    }
}
