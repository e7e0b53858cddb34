import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries

/// The launches of one kernel, or the rate of one kind of transfer, of one process.
struct GPUSeries: NamedEntry, ~Copyable {
    private let ownedName: OwnedName
    private(set) var total = CounterTotal()
    /// For a kernel the count as last sent; for a kind of transfer the newest rate in bytes per second. `lastTime` is
    /// its time.
    private(set) var last: UInt64 = 0
    private var lastTime = EpochNanoseconds.min
    /// For a kind of transfer: the bytes of one of the original's megabytes.
    private var megabyte: UInt32 = 1_000_000
    /// For a kind of transfer: its rules.
    var rules = TransferRules()
    /// The stamp of the last batch with events of it.
    private(set) var lastUsed: StateSweep.Stamp = 0
    /// For a kernel: whether it may have been evicted before. Then the agent's first count does not tell how many
    /// launches are new.
    var mayReturn = false
    private(set) var isDirty = false
    /// For a kernel: launches and events in the open window.
    private var windowLaunches: UInt64 = 0
    private var windowEvents: UInt64 = 0
    /// For a kernel: the position of its name in the summary of the last window.
    private var place = UInt32.max
    private var definedSeries = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    /// Applies an event of a kernel and returns the launches that it adds.
    @inline(__always) mutating func launch(_ sent: UInt64, _ context: EventContext) -> UInt64 {
        isDirty = true
        lastUsed = context.used
        let isNewest = context.time >= lastTime
        let launches = GPUNormaliser.launches(
            sent,
            last: isNewest && !mayReturn ? last : nil,
            context.semantics
        )
        mayReturn = false
        total.add(launches)
        windowLaunches = SummaryValues.sum(windowLaunches, launches)
        windowEvents &+= 1
        if isNewest {
            last = RunningCount.next(after: last, sent)
            lastTime = context.time
        }
        return launches
    }

    /// Adds the counts of another kernel, which is evicted, including those of the open window.
    mutating func absorb(_ other: borrowing GPUSeries) {
        total.add(other.total.value)
        windowLaunches = SummaryValues.sum(windowLaunches, other.windowLaunches)
        windowEvents &+= other.windowEvents
        lastUsed = max(lastUsed, other.lastUsed)
        isDirty = true
    }

    /// Applies the rate of a kind of transfer. Returns whether it is the newest one.
    @inline(__always) mutating func record(
        _ value: UInt64,
        megabyte: UInt32,
        at time: EpochNanoseconds
    ) -> Bool {
        isDirty = true
        guard time >= lastTime else { return false }
        self.megabyte = megabyte
        last = value
        lastTime = time
        return true
    }

    /// Visits the kernel if it was used in the open window, then begins a new one. `visit` also gets the kernel's
    /// position in the table that aggregates rows by name. The columns are those of `SummarySchema`.
    @inline(__always) mutating func takeWindow(_ visit: (SummaryValues, inout UInt32) -> Void) {
        guard windowEvents > 0 else { return }
        var values = SummaryValues()
        values[0] = windowLaunches
        values[1] = windowEvents
        (windowLaunches, windowEvents) = (0, 0)
        visit(values, &place)
    }

    /// Adds the series of a kernel.
    mutating func collectLaunches(_ series: inout SeriesWriter) {
        isDirty = false
        series.begin(definedSeries, count: 2, name: name)
        series.add(.gpuKernelLaunchesTotal, total.sample)
        series.add(.neutracerGPUKernelFunctionCount, Double(last))
        definedSeries = series.end()
    }

    /// Adds the series of a kind of transfer.
    mutating func collectRate(_ series: inout SeriesWriter) {
        isDirty = false
        series.begin(definedSeries, count: 2, name: name)
        series.add(.gpuTransferRateBytesPerSecond, Double(last))
        let megabytes = Double(last) / Double(megabyte)
        series.add(.neutracerGPUMemoryTransferRateMegabytesPerSecond, megabytes)
        definedSeries = series.end()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: total.value)
        buffer.append(integer: last)
        buffer.append(integer: lastTime)
        buffer.append(integer: megabyte)
        buffer.append(integer: lastUsed)
        buffer.append(byte: (mayReturn ? 1 : 0) | (windowEvents > 0 ? 2 : 0))
        rules.encode(into: &buffer)
        ownedName.encode(into: &buffer)
        guard windowEvents > 0 else { return }
        buffer.append(varint: windowLaunches)
        buffer.append(varint: windowEvents)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let total = CounterTotal(try reader.integer(UInt64.self))
        let last = try reader.integer(UInt64.self)
        let lastTime = try reader.integer(Int64.self)
        var hasWindow = false
        if reader.version > StateVersion.beforeDialects {
            megabyte = max(try reader.integer(UInt32.self), 1)
            lastUsed = try reader.integer(UInt32.self)
            let marks = try reader.integer(UInt8.self)
            mayReturn = marks & 1 != 0
            hasWindow = marks & 2 != 0
        }
        let rules = try TransferRules(decoding: &reader)
        let name = try OwnedName(decoding: &reader)
        let windowLaunches = hasWindow ? try reader.varint() : 0
        let windowEvents = hasWindow ? try reader.varint() : 0
        ownedName = name
        self.windowLaunches = windowLaunches
        self.windowEvents = windowEvents
        self.rules = rules
        self.total = total
        self.last = last
        self.lastTime = lastTime
    }
}
