import SystemIO
import TraceMetrics
import TraceModel

/// The counters of a process under one name. It stays when the process takes another name, so that no counter
/// decreases if the name returns.
struct IOAccount: NamedEntry, ~Copyable {
    private var ownedName = OwnedName(.empty)
    /// Counters of operations other than reads and writes.
    private var bytes = CounterTotal()
    private var operations = CounterTotal()
    private var devices = NamedTable<IODevice>()
    var isDirty = false
    private var definedSeries = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    @inline(__always) var deviceBytes: Int { devices.stateBytes }

    /// Records an operation. Reads and writes are counted by the agent: only their latency is new.
    @inline(__always) mutating func record(
        _ operation: IOOperation,
        device: ByteView,
        bytes byteCount: UInt64,
        milliseconds: Double
    ) {
        isDirty = true
        if operation == .other {
            bytes.add(byteCount)
            operations.add(1)
        }
        // Names beyond the bound share an entry; sums over devices remain exact.
        devices.entry(of: device, countMax: Limits.devicesPerProcessMax).place.pointee.record(
            operation,
            milliseconds: milliseconds
        )
    }

    mutating func collect(_ series: inout SeriesWriter) {
        let other = IOOperation.other.label
        let hasOthers = operations.value > 0
        series.begin(definedSeries, count: 2 + IOOperation.allCases.count)
        series.add(.ioBytesTotal, bytes.sample, if: hasOthers, [other])
        series.add(.ioOperationsTotal, operations.sample, if: hasOthers, [other])
        for operation in IOOperation.allCases {
            var latency = IOLatency()
            for device in devices.entries {
                latency.add(device.pointee.latencies[operation.rawValue])
            }
            series.add(
                .ioLatencySeconds,
                latency.buckets,
                sum: latency.seconds,
                if: !latency.isEmpty,
                [operation.label]
            )
        }
        definedSeries = series.end()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: bytes.value)
        buffer.append(integer: operations.value)
        ownedName.encode(into: &buffer)
        devices.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        bytes = CounterTotal(try reader.integer(UInt64.self))
        operations = CounterTotal(try reader.integer(UInt64.self))
        ownedName = try OwnedName(decoding: &reader)
        devices = try NamedTable<IODevice>(decoding: &reader)
    }
}
