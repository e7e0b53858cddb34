import SystemIO
import TraceMetrics
import TraceModel

/// The memory counters of a process under one name.
struct MemoryAccount: ProcessAccount, ~Copyable {
    private let ownedName: OwnedName
    var allocations = CounterTotal()
    var frees = CounterTotal()
    var allocatedBytes = CounterTotal()
    var freedBytes = CounterTotal()
    /// Whether the agent counts operations.
    var countsOperations = true
    var sizes = MemorySizes()
    var isDirty = false
    private var definedSeries = SeriesSet()

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    mutating func collect(_ series: inout SeriesWriter) {
        series.begin(definedSeries, count: 5)
        series.add(.memoryAllocationsTotal, allocations.sample, if: countsOperations)
        series.add(.memoryFreesTotal, frees.sample, if: countsOperations)
        series.add(.memoryAllocatedBytesTotal, allocatedBytes.sample)
        series.add(.memoryFreedBytesTotal, freedBytes.sample)
        series.add(.memoryAllocationSizeBytes, sizes.value)
        definedSeries = series.end()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: allocations.value)
        buffer.append(integer: frees.value)
        buffer.append(integer: allocatedBytes.value)
        buffer.append(integer: freedBytes.value)
        buffer.append(byte: countsOperations ? 1 : 0)
        sizes.encode(into: &buffer)
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let allocations = CounterTotal(try reader.integer(UInt64.self))
        let frees = CounterTotal(try reader.integer(UInt64.self))
        if reader.version > StateVersion.beforeDialects {
            allocatedBytes = CounterTotal(try reader.integer(UInt64.self))
            freedBytes = CounterTotal(try reader.integer(UInt64.self))
            countsOperations = try reader.integer(UInt8.self) == 1
        }
        let sizes = try MemorySizes(decoding: &reader)
        ownedName = try OwnedName(decoding: &reader)
        self.allocations = allocations
        self.frees = frees
        self.sizes = sizes
    }
}
