import AnomalyRules
import SystemIO
import TraceModel
import TraceWire

/// The rules' state for one process's network traffic.
struct NetworkRules {
    private static let spike = TrafficRules.Names(
        rule: .rateSpike,
        zScore: .rateSpikeZScore,
        samplesMin: .rateSpikeSamplesMin,
        bytesPerSecond: .rateSpikeBytesPerSecond,
        factorMin: .rateSpikeFactorMin
    )

    private var traffic = TrafficRules()
    private var quality = NetworkQualityRules()
    private var connections = NetworkConnectionRules()

    init() {}

    /// Evaluates the agent's counters.
    @inline(__always) mutating func evaluate(
        _ event: NetworkEvent,
        bytes: (UInt64, UInt64),
        packetsSent: UInt64,
        of process: ByteView,
        _ context: EventContext
    ) {
        traffic.evaluate(Self.spike, total: bytes, bytes: event.byteCount, of: process, context)
        quality.evaluate(event, packetsSent: packetsSent, of: process, context)
    }

    /// Evaluates a new connection.
    mutating func evaluateConnection(
        from local: NetworkEnd,
        to remote: NetworkEnd,
        isServer: Bool,
        of process: ByteView,
        _ context: EventContext
    ) { connections.evaluate(from: local, to: remote, isServer: isServer, of: process, context) }

    func encode(into buffer: inout RawBuffer) {
        traffic.encode(into: &buffer)
        quality.encode(into: &buffer)
        connections.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        traffic = try TrafficRules(decoding: &reader)
        quality = try NetworkQualityRules(decoding: &reader)
        connections = try NetworkConnectionRules(decoding: &reader)
    }
}
