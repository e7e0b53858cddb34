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

    @inline(__always)
    mutating func add(tx txSample: UInt64, rx rxSample: UInt64, at time: EpochNanoseconds) {
        tx.add(txSample)
        rx.add(rxSample)
        txRate.note(tx.last, at: time)
        rxRate.note(rx.last, at: time)
    }

    mutating func restart() {
        tx.restart()
        rx.restart()
        txRate = CounterRate()
        rxRate = CounterRate()
    }

    mutating func beginSeries() {
        tx.beginSeries()
        rx.beginSeries()
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
