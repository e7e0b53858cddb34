import SystemIO
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What a checkpoint holds is all there is to a processor.
@Suite struct ModelStateTests {
    @Test(arguments: [Resource.function, .cpu, .memory, .network], [1, 2, 3] as [UInt64])
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

    @Test(arguments: [Resource.function, .cpu, .memory, .network])
    func aStateThatEndsEarlyIsRefused(
        resource: Resource
    ) throws {
        var random = SplitMix(seed: 9)
        let bench = try ProcessorBench(resource)
        try bench.send { Self.fill(&$0, resource, &random) }
        let slot = bench.slot(of: 1)
        let state = bench.state(of: slot)
        for length in 0..<state.count {
            #expect(throws: TraceError.self) { try bench.load(state[..<length], of: slot) }
        }
    }

    /// Checkpoints up to version 5 had eight bytes for each of a function's numbers, and its window elsewhere.
    @Test func aFunctionsStateOfBeforeComesBack() throws {
        var old = RawBuffer()
        old.append(integer: UInt32(1))
        let numbers = [9, 7, 2, 1, 123_456_789, 99_000_000, 41, 17] as [UInt64]
        for number in numbers { old.append(integer: number) }
        for bucket in 0..<11 { old.append(integer: UInt64(bucket)) }
        FunctionRules().encode(into: &old)
        old.append(counted: Array("main".utf8))
        var reader = StateReader(old.bytes)
        reader.version = StateVersion.beforeDialects
        let table = try FunctionTable(decoding: &reader)
        #expect(reader.isAtEnd)
        let activity = UnsafeMutablePointer<WindowActivity>.allocate(capacity: 1)
        activity.initialize(to: WindowActivity())
        defer {
            activity.deinitialize(count: 1)
            activity.deallocate()
        }
        table.takeWindow(activity) { _, _, _ in Issue.record("nothing was called in the window") }
        var new = RawBuffer()
        table.encode(into: &new)
        #expect(new.count < old.count)
        reader = StateReader(new.bytes)
        _ = try reader.integer(UInt32.self)
        #expect(try reader.integer(UInt8.self) == 0, "none was given up")
        for number in numbers { try #expect(reader.varint() == number) }
        for bucket in 0..<11 { try #expect(reader.varint() == UInt64(bucket)) }
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
            case .function:
                var event = BatchEncoder.Function()
                (event.timestamp, event.tgid) = (time, pid)
                event.pid = pid + UInt32(random.below(2))
                event.eventType = Int32(random.below(2))
                event.functionName = "f\(random.below(4))"
                event.cookie = Int64(random.below(3))
                event.callCount = UInt64(random.below(900))
                batch.append(event)
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
