import SystemIO
import TraceMetrics
import TraceModel

/// The network counters of a process under one name.
struct NetworkAccount: ProcessAccount, ~Copyable {
    /// Totals of bytes or of packets, by direction.
    struct Totals: BitwiseCopyable {
        var tx = CounterTotal()
        var rx = CounterTotal()
    }

    private let ownedName: OwnedName
    var bytes = Totals()
    var packets = Totals()
    var isDirty = false
    private var definedSeries = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    mutating func collect(_ series: inout SeriesWriter) {
        series.begin(definedSeries, count: 4)
        series.add(.networkBytesTotal, bytes.tx.sample, ["tx"])
        series.add(.networkBytesTotal, bytes.rx.sample, ["rx"])
        series.add(.networkPacketsTotal, packets.tx.sample, ["tx"])
        series.add(.networkPacketsTotal, packets.rx.sample, ["rx"])
        definedSeries = series.end()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        for total in [bytes.tx, bytes.rx, packets.tx, packets.rx] {
            buffer.append(integer: total.value)
        }
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        var bytes = Totals()
        var packets = Totals()
        bytes.tx = CounterTotal(try reader.integer(UInt64.self))
        bytes.rx = CounterTotal(try reader.integer(UInt64.self))
        packets.tx = CounterTotal(try reader.integer(UInt64.self))
        packets.rx = CounterTotal(try reader.integer(UInt64.self))
        ownedName = try OwnedName(decoding: &reader)
        self.bytes = bytes
        self.packets = packets
    }
}
