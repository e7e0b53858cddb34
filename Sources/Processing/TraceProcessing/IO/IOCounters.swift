import SystemIO
import TraceMetrics
import TraceModel
import TraceWire

/// The reported values of a process's reads and writes: totals, rates, and the agent's last values.
struct IOCounters: BitwiseCopyable {
    var normaliser = IONormaliser()
    /// Bytes since the process last restarted, whatever its name.
    private(set) var traffic: (UInt64, UInt64) = (0, 0)
    private var readRate = CounterRate()
    private var writeRate = CounterRate()
    /// Operations since the process last restarted.
    private var operations: (UInt64, UInt64) = (0, 0)
    /// The values as last sent: bytes, and mean latencies in the agent's unit.
    private var sentBytes: (UInt64, UInt64) = (0, 0)
    private var readLatency = 0.0
    private var writeLatency = 0.0

    init() {}

    /// Applies an event that is not late, whose normalised form is `sample`.
    @inline(__always) mutating func take(
        _ event: IOEvent,
        _ sample: IONormaliser.Sample,
        at time: EpochNanoseconds
    ) {
        add(sample)
        readRate.note(operations.0, at: time)
        writeRate.note(operations.1, at: time)
        sentBytes = (event.readBytes, event.writeBytes)
        readLatency = event.averageReadLatencyMilliseconds
        writeLatency = event.averageWriteLatencyMilliseconds
    }

    /// Adds the growth of an event's counters.
    @inline(__always) mutating func add(_ sample: IONormaliser.Sample) {
        traffic.0 = CounterTotal.sum(traffic.0, sample.readBytes.counted)
        traffic.1 = CounterTotal.sum(traffic.1, sample.writeBytes.counted)
        operations.0 = CounterTotal.sum(operations.0, sample.readOperations.counted)
        operations.1 = CounterTotal.sum(operations.1, sample.writeOperations.counted)
    }

    /// Resets the totals and rates, as the process is another one.
    mutating func restart() {
        traffic = (0, 0)
        operations = (0, 0)
        readRate = CounterRate()
        writeRate = CounterRate()
    }

    func collect(_ series: inout SeriesWriter) {
        let (read, write) = (IOOperation.read.label, IOOperation.write.label)
        series.add(.ioBytesTotal, normaliser.readBytes.value, [read])
        series.add(.ioBytesTotal, normaliser.writeBytes.value, [write])
        series.add(.ioOperationsTotal, normaliser.readOperations.value, [read])
        series.add(.ioOperationsTotal, normaliser.writeOperations.value, [write])
        series.add(.neutracerIOThroughputBytes, Double(sentBytes.0), [read])
        series.add(.neutracerIOThroughputBytes, Double(sentBytes.1), [write])
        series.add(.neutracerIOTotalBytes, Double(traffic.0), [read])
        series.add(.neutracerIOTotalBytes, Double(traffic.1), [write])
        series.add(.neutracerIOLatencyMilliseconds, readLatency, [read])
        series.add(.neutracerIOLatencyMilliseconds, writeLatency, [write])
        series.add(.neutracerIOOperationsPerSecond, readRate.perSecond, [read])
        series.add(.neutracerIOOperationsPerSecond, writeRate.perSecond, [write])
    }

    func encode(into buffer: inout RawBuffer) {
        normaliser.encode(into: &buffer)
        readRate.encode(into: &buffer)
        writeRate.encode(into: &buffer)
        buffer.append(integer: readLatency.bitPattern)
        buffer.append(integer: writeLatency.bitPattern)
        for number in [traffic.0, traffic.1, operations.0, operations.1, sentBytes.0, sentBytes.1] {
            buffer.append(varint: number)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        normaliser = try IONormaliser(decoding: &reader)
        readRate = try CounterRate(decoding: &reader)
        writeRate = try CounterRate(decoding: &reader)
        readLatency = Double(bitPattern: try reader.integer(UInt64.self))
        writeLatency = Double(bitPattern: try reader.integer(UInt64.self))
        guard reader.version > StateVersion.beforeDialects else {
            sentBytes = (normaliser.readBytes.last, normaliser.writeBytes.last)
            traffic = sentBytes
            operations = (normaliser.readOperations.last, normaliser.writeOperations.last)
            return
        }
        traffic = (try reader.varint(), try reader.varint())
        operations = (try reader.varint(), try reader.varint())
        sentBytes = (try reader.varint(), try reader.varint())
    }
}
