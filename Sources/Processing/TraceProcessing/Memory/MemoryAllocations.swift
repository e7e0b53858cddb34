import SystemIO
import TraceModel

/// The allocations of a process that have not been freed, by address. Bounded by the state's budget, which evicts the
/// oldest ones.
struct MemoryAllocations: ~Copyable {
    /// An allocation that has not been freed.
    struct Allocation: BitwiseCopyable {
        let address: UInt64
        let bytes: UInt64
        let stackID: UInt64
        let time: EpochNanoseconds
    }

    private var allocations: [Allocation] = []
    private var index = IndexTable()
    /// The sum modulo 2⁶⁴, as agents may send sizes that add up to more.
    private(set) var bytes: UInt64 = 0
    /// Whether allocations have been evicted, so that the table is incomplete.
    private(set) var isIncomplete = false

    var count: Int { allocations.count }

    init() {}

    @inline(__always) private func hash(_ address: UInt64) -> UInt64 {
        NameHash.mix(address ^ 0x9E37_79B9_7F4A_7C15)
    }

    @inline(__always) private func find(_ address: UInt64, _ hash: UInt64) -> Int? {
        allocations.withUnsafeBufferPointer { known in
            index.find(hash) { known[$0].address == address }
        }
    }

    /// Prefetches an address's index cell.
    @inline(__always) func prefetchIndex(_ address: UInt64) { index.prefetchCell(hash(address)) }

    /// Adds an allocation. It replaces one at the same address whose release was not reported, unless that is newer.
    mutating func insert(_ allocation: Allocation) {
        let hash = hash(allocation.address)
        if let known = find(allocation.address, hash) {
            guard allocation.time >= allocations[known].time else { return }
            bytes = bytes &- allocations[known].bytes &+ allocation.bytes
            allocations[known] = allocation
            return
        }
        append(allocation, hash)
    }

    private mutating func append(_ allocation: Allocation, _ hash: UInt64) {
        index.insert(hash, position: count)
        allocations.append(allocation)
        bytes &+= allocation.bytes
    }

    borrowing func visit(_ body: (Allocation) -> Void) {
        for allocation in allocations { body(allocation) }
    }

    /// Returns the bytes allocated until `time`. O(count).
    borrowing func bytes(allocatedUntil time: EpochNanoseconds) -> UInt64 {
        var sum: UInt64 = 0
        for allocation in allocations where allocation.time <= time { sum &+= allocation.bytes }
        return sum
    }

    /// Returns the allocation at an address, nil if there is none, and removes it unless it is newer than `time`.
    @discardableResult mutating func release(
        _ address: UInt64,
        at time: EpochNanoseconds
    ) -> Allocation? {
        let hash = hash(address)
        guard let position = find(address, hash) else { return nil }
        let released = allocations[position]
        guard released.time <= time else { return released }
        bytes &-= allocations[position].bytes
        index.remove(hash, position: position)
        let last = allocations.removeLast()
        guard position < count else { return released }
        // The last one fills the gap.
        index.move(self.hash(last.address), from: count, to: position)
        allocations[position] = last
        return released
    }

    // MARK: Bounds

    private static var allocationBytes: Int {
        MemoryLayout<Allocation>.stride * 3 / 2 + StateCost.index
    }

    @inline(__always) var stateBytes: Int { allocations.count &* Self.allocationBytes }

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        for allocation in allocations {
            sweep.note(StateSweep.stamp(allocation.time), bytes: Self.allocationBytes)
        }
    }

    /// Evicts the allocations that the sweep takes, and counts them. O(count).
    mutating func giveUp(_ sweep: inout StateSweep, _ totals: UnsafeMutablePointer<SlotTotals>) {
        let known = count
        var positions = RawArray<UInt32>(capacity: max(known, 1))
        var kept = 0
        for position in 0..<known {
            let allocation = allocations[position]
            if sweep.takes(StateSweep.stamp(allocation.time), bytes: Self.allocationBytes) {
                bytes &-= allocation.bytes
                positions.append(.max)
            } else {
                allocations[kept] = allocation
                positions.append(UInt32(kept))
                kept += 1
            }
        }
        guard kept < known else { return }
        allocations.removeLast(known - kept)
        index.move(to: positions)
        totals.pointee.allocationsEvicted += UInt64(known - kept)
        isIncomplete = true
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: isIncomplete ? 1 : 0)
        buffer.append(integer: UInt32(count))
        for allocation in allocations {
            buffer.append(integer: allocation.address)
            buffer.append(integer: allocation.bytes)
            buffer.append(integer: allocation.stackID)
            buffer.append(integer: allocation.time)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        isIncomplete = try reader.integer(UInt8.self) == 1
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let allocation = Allocation(
                address: try reader.integer(UInt64.self),
                bytes: try reader.integer(UInt64.self),
                stackID: try reader.integer(UInt64.self),
                time: try reader.integer(Int64.self)
            )
            append(allocation, hash(allocation.address))
        }
    }
}
