import Testing
import TraceMetrics
import TraceModel
import TraceProcessing
import TraceWire

/// What the processes of one slot may remember together, however many there are.
@Suite(.serialized)
struct SlotBoundTests {
    private static let slot: UInt8 = 9

    /// Process ids that fall into the slot.
    private static func pids(_ bench: ProcessorBench) -> [UInt32] {
        Array((UInt32(1)...).lazy.filter { bench.slot(of: $0) == slot }.prefix(3))
    }

    private func send(
        _ count: Int,
        from first: Int = 0,
        of pid: UInt32,
        to bench: ProcessorBench
    ) throws {
        let isMemory = bench.processor.resource == .memory
        try bench.send {
            for index in first..<(first + count) {
                if isMemory {
                    $0.memory(at: 1, "alloc", address: UInt64(index + 1), size: 8, pid: pid)
                } else {
                    $0.network(at: 1, to: ("192.0.2.1", UInt32(index + 1)), pid: pid)
                }
            }
        }
    }

    @Test(arguments: [
        (Resource.memory, Limits.allocationsPerSlotMax, "allocation_evicted"),
        (Resource.network, Limits.connectionsPerSlotMax, "connection_evicted"),
    ])
    func whoRemembersMostForgets(_ resource: Resource, limit: Int, kind: String) throws {
        let bench = try ProcessorBench(resource)
        let pids = Self.pids(bench)
        let shares = [limit / 16 * 7, limit / 16 * 6, limit / 16 * 3]
        for (pid, share) in zip(pids, shares) { try send(share, of: pid, to: bench) }
        #expect(bench.samples().value(.errorsTotal, kind) == nil, "just full")
        let state = bench.state(of: Self.slot)

        // The first one gives up half: 12.5 of 16 parts are left; the second one too: 9.5.
        try send(1, from: limit, of: pids[2], to: bench)
        let forgotten = Double(shares[0] / 2 + shares[1] / 2)
        #expect(bench.samples().value(.errorsTotal, kind) == forgotten)
        try send(limit / 16 * 4, from: limit + 1, of: pids[2], to: bench)
        #expect(bench.samples().value(.errorsTotal, kind) == forgotten, "there is room again")

        // An owner that took the slot over does the same.
        let other = try ProcessorBench(resource)
        try other.load(state, of: Self.slot)
        try send(1, from: limit, of: pids[2], to: other)
        try send(limit / 16 * 4, from: limit + 1, of: pids[2], to: other)
        #expect(other.state(of: Self.slot) == bench.state(of: Self.slot))
    }
}
