import SystemIO
import TraceMetrics
import TraceModel

/// What is counted of a process's memory under one name.
struct MemoryAccount: ProcessAccount, ~Copyable {
    private let ownedName: OwnedName
    var allocations = CounterTotal()
    var frees = CounterTotal()
    var sizes = MemorySizes()
    var isDirty = false

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    func collect(_ samples: inout ProcessSamples) {
        samples.add(.memoryAllocationsTotal, allocations.sample)
        samples.add(.memoryFreesTotal, frees.sample)
        samples.add(.memoryAllocationSizeBytes, sizes.value)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: allocations.value)
        buffer.append(integer: frees.value)
        sizes.encode(into: &buffer)
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let allocations = CounterTotal(try reader.integer(UInt64.self))
        let frees = CounterTotal(try reader.integer(UInt64.self))
        let sizes = try MemorySizes(decoding: &reader)
        ownedName = try OwnedName(decoding: &reader)
        self.allocations = allocations
        self.frees = frees
        self.sizes = sizes
    }
}
