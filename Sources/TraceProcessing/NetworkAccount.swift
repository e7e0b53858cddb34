import SystemIO
import TraceMetrics
import TraceModel

/// What is counted of a process's network traffic under one name.
struct NetworkAccount: ProcessAccount, ~Copyable {
    /// Of bytes or of packets.
    struct Totals: BitwiseCopyable {
        var tx = CounterTotal()
        var rx = CounterTotal()
    }

    private let ownedName: OwnedName
    var bytes = Totals()
    var packets = Totals()
    var isDirty = false

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    func collect(_ samples: inout ProcessSamples) {
        samples.add(.networkBytesTotal, bytes.tx.sample, "tx")
        samples.add(.networkBytesTotal, bytes.rx.sample, "rx")
        samples.add(.networkPacketsTotal, packets.tx.sample, "tx")
        samples.add(.networkPacketsTotal, packets.rx.sample, "rx")
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
