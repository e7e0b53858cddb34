import SystemIO
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What a checkpoint holds is all there is to a processor.
@Suite
struct ModelStateTests {
    @Test(arguments: [Resource.cpu, .memory, .network], [1, 2, 3] as [UInt64])
    func aLoadedProcessorGoesOnLikeTheOriginal(resource: Resource, seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let original = try ProcessorBench(resource)
        let loaded = try ProcessorBench(resource)
        for _ in 0..<5 { try original.send { Self.fill(&$0, resource, &random) } }
        for slot in Set((1...3).map(original.slot(of:))) {
            let state = original.state(of: slot)
            try loaded.load(state, of: slot)
            #expect(loaded.state(of: slot) == state)
        }
        let copy = random
        for bench in [original, loaded] {
            random = copy
            for _ in 0..<5 { try bench.send { Self.fill(&$0, resource, &random) } }
        }
        for slot in Set((1...3).map(original.slot(of:))) {
            #expect(loaded.state(of: slot) == original.state(of: slot), "seed \(seed)")
        }
        #expect(loaded.samples().series == original.samples().series, "seed \(seed)")
    }

    @Test(arguments: [Resource.cpu, .memory, .network])
    func aStateThatEndsEarlyIsRefused(resource: Resource) throws {
        var random = SplitMix(seed: 9)
        let bench = try ProcessorBench(resource)
        try bench.send { Self.fill(&$0, resource, &random) }
        let slot = bench.slot(of: 1)
        let state = bench.state(of: slot)
        for length in 0..<state.count {
            #expect(throws: TraceError.self) { try bench.load(state[..<length], of: slot) }
        }
    }

    private static func fill(
        _ batch: inout BatchEncoder,
        _ resource: Resource,
        _ random: inout SplitMix
    ) {
        for _ in 0..<40 {
            let time = ProcessorBench.timestamp(random.below(20_000))
            let pid = UInt32(random.below(3) + 1)
            let comm = ["a", "b", ""][random.below(3)]
            switch resource {
            case .cpu:
                var event = BatchEncoder.CPU()
                (event.timestamp, event.pid, event.comm) = (time, pid, comm)
                event.cpuID = UInt32(random.below(2_000))
                event.onCPUMicroseconds = UInt64(random.below(5_000))
                event.migrations = UInt32(random.below(50))
                event.utilizationPercent = Double(random.below(9_999)) / 7
                batch.append(event)
            case .memory:
                var event = BatchEncoder.Memory()
                (event.timestamp, event.tgid, event.comm) = (time, pid, comm)
                event.pid = pid + UInt32(random.below(2))
                event.operation = ["alloc", "free", "other"][random.below(3)]
                event.address = UInt64(random.below(30))
                event.size = UInt64(random.below(9_999_999))
                event.totalAllocs = UInt64(random.below(90))
                event.currentMemory = UInt64(random.below(9_999))
                batch.append(event)
            default:
                var event = BatchEncoder.Network()
                (event.timestamp, event.tgid, event.comm) = (time, pid, comm)
                event.isSend = random.below(2) == 0
                event.bytes = UInt64(random.below(9_999))
                event.sourceAddress = "10.0.0.\(random.below(3))"
                event.sourcePort = UInt32(random.below(4))
                event.destinationPort = UInt32(random.below(3))
                event.transport = "p\(random.below(20))"
                event.txBytes = UInt64(random.below(9_999))
                event.rxPackets = UInt64(random.below(99))
                batch.append(event)
            }
        }
    }
}
