import SystemIO
import TraceMetrics
import TraceModel

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
    /// Whether it is about to be taken out of its table.
    var isGone = false
    private(set) var isDirty = false
    private var told = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    /// Takes in an event of a kernel; how many launches it brings.
    @inline(__always) mutating func launch(_ sent: UInt64, _ context: EventContext) -> UInt64 {
        isDirty = true
        lastUsed = context.used
        let isNewest = context.time >= lastTime
        let launches = GPUNormaliser.launches(sent, last: isNewest && !mayReturn ? last : nil, context.semantics)
        mayReturn = false
        total.add(launches)
        if isNewest {
            last = RunningCount.next(after: last, sent)
            lastTime = context.time
        }
        return launches
    }

    /// Counts from here on what another kernel has counted, which is given up.
    mutating func absorb(_ other: borrowing GPUSeries) {
        total.add(other.total.value)
        lastUsed = max(lastUsed, other.lastUsed)
        isDirty = true
    }

    /// Takes in the rate of a kind of transfer; whether it is the newest one.
    @inline(__always) mutating func record(_ value: UInt64, megabyte: UInt32, at time: EpochNanoseconds) -> Bool {
        isDirty = true
        guard time >= lastTime else { return false }
        self.megabyte = megabyte
        last = value
        lastTime = time
        return true
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
        buffer.append(byte: mayReturn ? 1 : 0)
        rules.encode(into: &buffer)
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let total = CounterTotal(try reader.integer(UInt64.self))
        let last = try reader.integer(UInt64.self)
        let lastTime = try reader.integer(Int64.self)
        if reader.version > StateVersion.beforeDialects {
            megabyte = max(try reader.integer(UInt32.self), 1)
            lastUsed = try reader.integer(UInt32.self)
            mayReturn = try reader.integer(UInt8.self) == 1
        }
        let rules = try TransferRules(decoding: &reader)
        ownedName = try OwnedName(decoding: &reader)
        self.rules = rules
        self.total = total
        self.last = last
        self.lastTime = lastTime
    }
}
