import SystemIO
import TraceMetrics
import TraceModel
import TraceWire

/// What the agent counts of one process's reads and writes, taken in time order.
struct IOCounters: BitwiseCopyable {
    private var readBytes = CumulativeCounter()
    private var writeBytes = CumulativeCounter()
    private var readOperations = CumulativeCounter()
    private var writeOperations = CumulativeCounter()
    private var readRate = CounterRate()
    private var writeRate = CounterRate()
    /// As last told, milliseconds.
    private var readLatency = 0.0
    private var writeLatency = 0.0

    init() {}

    /// Read and written, as the agent counts.
    var bytes: (UInt64, UInt64) { (readBytes.last, writeBytes.last) }

    /// Whether one of the counters has begun anew.
    @inline(__always)
    func fall(to event: IOEvent) -> Bool {
        readBytes.falls(to: event.readBytes) || writeBytes.falls(to: event.writeBytes)
            || readOperations.falls(to: event.readOperations)
            || writeOperations.falls(to: event.writeOperations)
    }

    /// What they are about to grow by, for the window's summary: before `restart` and `take`.
    @inline(__always)
    func note(_ event: IOEvent, isRestart: Bool, in activity: UnsafeMutablePointer<WindowActivity>)
    {
        activity.pointee.io(
            readBytes: readBytes.growth(to: event.readBytes, isRestart: isRestart),
            writeBytes: writeBytes.growth(to: event.writeBytes, isRestart: isRestart),
            readOperations: readOperations.growth(to: event.readOperations, isRestart: isRestart),
            writeOperations: writeOperations.growth(to: event.writeOperations, isRestart: isRestart)
        )
    }

    @inline(__always)
    mutating func take(_ event: IOEvent, at time: EpochNanoseconds) {
        readBytes.add(event.readBytes)
        writeBytes.add(event.writeBytes)
        readOperations.add(event.readOperations)
        writeOperations.add(event.writeOperations)
        readRate.note(readOperations.last, at: time)
        writeRate.note(writeOperations.last, at: time)
        readLatency = event.averageReadLatencyMilliseconds
        writeLatency = event.averageWriteLatencyMilliseconds
    }

    mutating func restart() {
        readBytes.restart()
        writeBytes.restart()
        readOperations.restart()
        writeOperations.restart()
        readRate = CounterRate()
        writeRate = CounterRate()
    }

    mutating func beginSeries() {
        readBytes.beginSeries()
        writeBytes.beginSeries()
        readOperations.beginSeries()
        writeOperations.beginSeries()
    }

    func collect(_ series: inout SeriesWriter) {
        let (read, write) = (IOOperation.read.label, IOOperation.write.label)
        series.add(.ioBytesTotal, readBytes.value, [read])
        series.add(.ioBytesTotal, writeBytes.value, [write])
        series.add(.ioOperationsTotal, readOperations.value, [read])
        series.add(.ioOperationsTotal, writeOperations.value, [write])
        series.add(.neutracerIOThroughputBytes, Double(readBytes.last), [read])
        series.add(.neutracerIOThroughputBytes, Double(writeBytes.last), [write])
        series.add(.neutracerIOTotalBytes, Double(readBytes.last), [read])
        series.add(.neutracerIOTotalBytes, Double(writeBytes.last), [write])
        series.add(.neutracerIOLatencyMilliseconds, readLatency, [read])
        series.add(.neutracerIOLatencyMilliseconds, writeLatency, [write])
        series.add(.neutracerIOOperationsPerSecond, readRate.perSecond, [read])
        series.add(.neutracerIOOperationsPerSecond, writeRate.perSecond, [write])
    }

    func encode(into buffer: inout RawBuffer) {
        readBytes.encode(into: &buffer)
        writeBytes.encode(into: &buffer)
        readOperations.encode(into: &buffer)
        writeOperations.encode(into: &buffer)
        readRate.encode(into: &buffer)
        writeRate.encode(into: &buffer)
        buffer.append(integer: readLatency.bitPattern)
        buffer.append(integer: writeLatency.bitPattern)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        readBytes = try CumulativeCounter(decoding: &reader)
        writeBytes = try CumulativeCounter(decoding: &reader)
        readOperations = try CumulativeCounter(decoding: &reader)
        writeOperations = try CumulativeCounter(decoding: &reader)
        readRate = try CounterRate(decoding: &reader)
        writeRate = try CounterRate(decoding: &reader)
        readLatency = Double(bitPattern: try reader.integer(UInt64.self))
        writeLatency = Double(bitPattern: try reader.integer(UInt64.self))
    }
}
