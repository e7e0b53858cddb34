import SystemIO
import TraceModel

/// The agent's counters of what was sent and received, with their rates.
struct NetworkCounters: BitwiseCopyable {
    private(set) var tx = CumulativeCounter()
    private(set) var rx = CumulativeCounter()
    private(set) var txRate = CounterRate()
    private(set) var rxRate = CounterRate()

    init() {}

    @inline(__always)
    func fall(toTx txSample: UInt64, rx rxSample: UInt64) -> Bool {
        tx.falls(to: txSample) || rx.falls(to: rxSample)
    }

    /// Takes in what the agent counts; what is new goes to `totals`, too.
    @inline(__always)
    mutating func add(
        tx txSample: UInt64,
        rx rxSample: UInt64,
        at time: EpochNanoseconds,
        to totals: inout NetworkAccount.Totals
    ) {
        totals.tx.add(tx.add(txSample))
        totals.rx.add(rx.add(rxSample))
        txRate.note(tx.last, at: time)
        rxRate.note(rx.last, at: time)
    }

    mutating func restart() {
        tx.restart()
        rx.restart()
        txRate = CounterRate()
        rxRate = CounterRate()
    }

    func encode(into buffer: inout RawBuffer) {
        tx.encode(into: &buffer)
        rx.encode(into: &buffer)
        txRate.encode(into: &buffer)
        rxRate.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        tx = try CumulativeCounter(decoding: &reader)
        rx = try CumulativeCounter(decoding: &reader)
        txRate = try CounterRate(decoding: &reader)
        rxRate = try CounterRate(decoding: &reader)
    }
}
