import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries

/// One kernel's launches, or the rate of one kind of transfer, of one process.
struct GPUSeries: NamedEntry, ~Copyable {
    private let ownedName: OwnedName
    private(set) var total = CounterTotal()
    /// Of a kernel the count as last sent; of a kind of transfer the newest rate in bytes a second. And when.
    private(set) var last: UInt64 = 0
    private var lastTime = EpochNanoseconds.min
    /// Of a kind of transfer: bytes in one of the original's megabytes.
    private var megabyte: UInt32 = 1_000_000
    /// Of a kind of transfer.
    var rules = TransferRules()
    /// When a batch last had something of it.
    private(set) var lastUsed: StateSweep.Stamp = 0
    /// Of a kernel whether it may have been given up before, so that its agent's first count says nothing about how many
    /// launches are new.
    var mayReturn = false
    private(set) var isDirty = false
    /// Of a kernel: what the open window has seen of it.
    private var windowLaunches: UInt64 = 0
    private var windowEvents: UInt64 = 0
    /// Of a kernel: where the summary of the last window had its name.
    private var place = UInt32.max
    private var told = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    /// Takes in an event of a kernel; how many launches it brings.
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

    /// Counts from here on what another kernel has counted, in the open window too: that one is given up.
    mutating func absorb(_ other: borrowing GPUSeries) {
        total.add(other.total.value)
        windowLaunches = SummaryValues.sum(windowLaunches, other.windowLaunches)
        windowEvents &+= other.windowEvents
        lastUsed = max(lastUsed, other.lastUsed)
        isDirty = true
    }

    /// Takes in the rate of a kind of transfer; whether it is the newest one.
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

    /// Visits the kernel where the open window has seen it, with its place in what adds up rows by name; then a new window
    /// begins. The columns are those of `SummarySchema`.
    @inline(__always) mutating func takeWindow(_ visit: (SummaryValues, inout UInt32) -> Void) {
        guard windowEvents > 0 else { return }
        var values = SummaryValues()
        values[0] = windowLaunches
        values[1] = windowEvents
        (windowLaunches, windowEvents) = (0, 0)
        visit(values, &place)
    }

    /// Of a kernel.
    mutating func collectLaunches(_ series: inout SeriesWriter) {
        isDirty = false
        series.begin(told, count: 2, name: name)
        series.add(.gpuKernelLaunchesTotal, total.sample)
        series.add(.neutracerGPUKernelFunctionCount, Double(last))
        told = series.end()
    }

    /// Of a kind of transfer.
    mutating func collectRate(_ series: inout SeriesWriter) {
        isDirty = false
        series.begin(told, count: 2, name: name)
        series.add(.gpuTransferRateBytesPerSecond, Double(last))
        let megabytes = Double(last) / Double(megabyte)
        series.add(.neutracerGPUMemoryTransferRateMegabytesPerSecond, megabytes)
        told = series.end()
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
