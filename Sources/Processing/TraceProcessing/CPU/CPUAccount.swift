import SystemIO
import TraceMetrics
import TraceModel

/// The CPU counters of a process under one name.
struct CPUAccount: ProcessAccount, ~Copyable {
    private var ownedName: OwnedName
    /// Microseconds, as `offTime`.
    var onTime = CounterTotal()
    var offTime = CounterTotal()
    var migrations = CounterTotal()
    var numaMigrations = CounterTotal()
    var isDirty = false
    private var definedSeries = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    mutating func restart(name: ByteView) {
        var fresh = CPUAccount(name: .empty)
        fresh.ownedName.takeMemory(of: &ownedName)
        fresh.ownedName.set(name)
        self = fresh
    }

    var name: ByteView { ownedName.view }

    mutating func collect(_ series: inout SeriesWriter) {
        series.begin(definedSeries, count: 4)
        series.add(.cpuMigrationsTotal, migrations.sample)
        series.add(.cpuNumaMigrationsTotal, numaMigrations.sample)
        series.add(.cpuTimeSecondsTotal, Double(onTime.value) / 1e6, ["on"])
        series.add(.cpuTimeSecondsTotal, Double(offTime.value) / 1e6, ["off"])
        definedSeries = series.end()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: onTime.value)
        buffer.append(integer: offTime.value)
        buffer.append(integer: migrations.value)
        buffer.append(integer: numaMigrations.value)
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let onTime = CounterTotal(try reader.integer(UInt64.self))
        let offTime = CounterTotal(try reader.integer(UInt64.self))
        let migrations = CounterTotal(try reader.integer(UInt64.self))
        let numaMigrations = CounterTotal(try reader.integer(UInt64.self))
        ownedName = try OwnedName(decoding: &reader)
        self.onTime = onTime
        self.offTime = offTime
        self.migrations = migrations
        self.numaMigrations = numaMigrations
    }
}
