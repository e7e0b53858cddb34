import AnomalyRules
import Glibc
import SystemIO
import TraceModel
import TraceWire

/// The rules' state for one process's I/O.
struct IORules: BitwiseCopyable {
    private static let spike = TrafficRules.Names(
        rule: .throughputSpike,
        zScore: .throughputZScore,
        samplesMin: .throughputSamplesMin,
        bytesPerSecond: .throughputBytesPerSecond,
        factorMin: .throughputFactorMin
    )

    /// Cool-downs by operation.
    private var slow = InlineArray<3, Cooldown>(repeating: Cooldown())
    private var latencies = InlineArray<3, SpikeWatch>(repeating: SpikeWatch())
    private var traffic = TrafficRules()

    init() {}

    /// Evaluates one operation. Latencies are compared by their logarithm; invalid durations are ignored.
    @inline(__always) mutating func evaluate(
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

    /// Evaluates the agent's counters.
    @inline(__always) mutating func evaluateTraffic(
        _ event: IOEvent,
        total: (UInt64, UInt64),
        of process: ByteView,
        _ context: EventContext
    ) { traffic.evaluate(Self.spike, total: total, bytes: event.byteCount, of: process, context) }

    /// Resets the state for another traced process.
    mutating func restart() { self = IORules() }

    func encode(into buffer: inout RawBuffer) {
        for index in slow.indices { slow[index].encode(into: &buffer) }
        for index in latencies.indices { latencies[index].encode(into: &buffer) }
        traffic.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        if reader.version <= StateVersion.beforeDialects {
            // Older versions had one cool-down for all operations.
            slow = InlineArray(repeating: try Cooldown(decoding: &reader))
        } else {
            for index in slow.indices { slow[index] = try Cooldown(decoding: &reader) }
        }
        for index in latencies.indices { latencies[index] = try SpikeWatch(decoding: &reader) }
        traffic = try TrafficRules(decoding: &reader)
    }
}
