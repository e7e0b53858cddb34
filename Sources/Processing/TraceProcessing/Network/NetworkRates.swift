import SystemIO
import TraceModel

/// The rates at which a process sends and receives.
struct NetworkRates: BitwiseCopyable {
    private(set) var txBytes = CounterRate()
    private(set) var rxBytes = CounterRate()
    private(set) var txPackets = CounterRate()
    private(set) var rxPackets = CounterRate()

    init() {}

    /// Applies the counters as of `time`.
    @inline(__always) mutating func note(
        _ counted: borrowing NetworkNormaliser,
        at time: EpochNanoseconds
    ) {
        txBytes.note(counted.bytes.tx.total, at: time)
        rxBytes.note(counted.bytes.rx.total, at: time)
        txPackets.note(counted.packets.tx.total, at: time)
        rxPackets.note(counted.packets.rx.total, at: time)
    }

    func encode(into buffer: inout RawBuffer) {
        txBytes.encode(into: &buffer)
        rxBytes.encode(into: &buffer)
        txPackets.encode(into: &buffer)
        rxPackets.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        txBytes = try CounterRate(decoding: &reader)
        rxBytes = try CounterRate(decoding: &reader)
        txPackets = try CounterRate(decoding: &reader)
        rxPackets = try CounterRate(decoding: &reader)
    }

    /// Decodes what version 0.1.0 saved: bytes, then packets, each counter with its rate.
    init(
        beforeDialects reader: inout StateReader,
        _ normaliser: inout NetworkNormaliser
    ) throws(TraceError) {
        let bytes = try NetworkNormaliser.Counters(
            tx: CumulativeCounter(decoding: &reader),
            rx: CumulativeCounter(decoding: &reader)
        )
        txBytes = try CounterRate(decoding: &reader)
        rxBytes = try CounterRate(decoding: &reader)
        let packets = try NetworkNormaliser.Counters(
            tx: CumulativeCounter(decoding: &reader),
            rx: CumulativeCounter(decoding: &reader)
        )
        txPackets = try CounterRate(decoding: &reader)
        rxPackets = try CounterRate(decoding: &reader)
        normaliser = NetworkNormaliser(bytes: bytes, packets: packets)
    }
}
