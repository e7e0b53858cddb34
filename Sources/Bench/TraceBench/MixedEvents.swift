import TraceWire

/// Generates events of all six kinds in turn, as services under steady load produce them: each process's counters grow,
/// it frees what it allocates, and it uses a few permanent connections.
struct MixedEvents {
    private static let firstProcess = 1_000
    private static let blocksMax = 32

    /// The cumulative counters of a process.
    private enum Counter: Int, CaseIterable {
        case onCPU, offCPU, migrations, allocs, frees, txBytes, rxBytes, txPackets, rxPackets,
            readBytes, writeBytes,
            reads, writes
    }

    /// The range of blocks that a process has allocated, oldest first.
    private struct Blocks {
        var first: UInt64 = 0
        var end: UInt64 = 0
    }

    private let processes: Int
    private var functions: FunctionEvents
    private var random = BenchRandom(seed: 2)
    private var blocks: [Blocks]
    var counters: GrowingCounters

    init(processes: Int, functions: Int) {
        self.processes = processes
        self.functions = FunctionEvents(processes: processes, functions: functions)
        blocks = Array(repeating: Blocks(), count: processes)
        counters = GrowingCounters(count: processes * Counter.allCases.count)
    }

    /// Appends `count` events, a sixth of each kind; functions make up the remainder.
    mutating func append(_ count: Int, to encoder: inout BatchEncoder) {
        for _ in 0..<(count / 6) {
            let process = random.below(processes)
            encoder.append(cpu(process))
            encoder.append(memory(process))
            encoder.append(network(process))
            encoder.append(io(process))
            encoder.append(gpu(process))
        }
        functions.append(count - count / 6 * 5, to: &encoder)
    }

    private mutating func wide(_ counter: Counter, of process: Int, by amount: UInt64) -> UInt64 {
        let key = process * Counter.allCases.count + counter.rawValue
        return counters.grow(key, by: amount, .six)
    }

    private func pid(_ process: Int) -> UInt32 { UInt32(Self.firstProcess + process) }

    private func comm(_ process: Int) -> String { "service-\(process % 50)" }

    private mutating func cpu(_ process: Int) -> BatchEncoder.CPU {
        var event = BatchEncoder.CPU()
        event.timestamp = StampClock.placeholder
        event.pid = pid(process)
        event.ppid = 1
        event.comm = comm(process)
        event.cpuID = UInt32(random.below(16))
        event.onCPUMicroseconds = wide(.onCPU, of: process, by: 40)
        event.offCPUMicroseconds = wide(.offCPU, of: process, by: 60)
        event.utilizationPercent = Double(3_500 + random.below(1_000)) / 100
        let migrations = process * Counter.allCases.count + Counter.migrations.rawValue
        event.migrations = UInt32(
            counters.grow(migrations, by: random.below(16) == 0 ? 1 : 0, .five)
        )
        event.hotspotCPU = event.cpuID
        event.hotspotPercent = 60
        return event
    }

    private mutating func memory(_ process: Int) -> BatchEncoder.Memory {
        var event = BatchEncoder.Memory()
        event.timestamp = StampClock.placeholder
        event.pid = pid(process)
        event.tgid = event.pid
        event.comm = comm(process)
        event.size = 4_096
        let live = blocks[process].end - blocks[process].first
        let isAlloc = live == 0 || live < Self.blocksMax && random.below(2) == 0
        let block = isAlloc ? blocks[process].end : blocks[process].first
        if isAlloc { blocks[process].end += 1 } else { blocks[process].first += 1 }
        event.operation = isAlloc ? "alloc" : "free"
        event.address = 0x7F00_0000_0000 + block * 4_096
        event.stackID = block % 64
        event.totalAllocs = wide(.allocs, of: process, by: isAlloc ? 1 : 0)
        event.totalFrees = wide(.frees, of: process, by: isAlloc ? 0 : 1)
        event.currentMemory = 64 << 20
        event.peakMemory = 80 << 20
        event.pattern = 1
        event.fragmentationScore = 10
        event.churnScore = 20
        return event
    }

    private mutating func network(_ process: Int) -> BatchEncoder.Network {
        var event = BatchEncoder.Network()
        event.timestamp = StampClock.placeholder
        event.pid = pid(process)
        event.tgid = event.pid
        event.comm = comm(process)
        event.isSend = random.below(2) == 0
        event.bytes = UInt64(1_000 + random.below(500))
        let connection = random.below(24)
        event.sourceAddress = "10.0.0.7"
        event.destinationAddress = "10.0.1.\(connection % 8)"
        event.sourcePort = UInt32(40_000 + connection)
        event.destinationPort = 443
        event.transport = "TCP"
        event.txBytes = wide(.txBytes, of: process, by: event.isSend ? event.bytes : 0)
        event.rxBytes = wide(.rxBytes, of: process, by: event.isSend ? 0 : event.bytes)
        event.txPackets = wide(.txPackets, of: process, by: event.isSend ? 1 : 0)
        event.rxPackets = wide(.rxPackets, of: process, by: event.isSend ? 0 : 1)
        event.pattern = 1
        event.activeConnections = 24
        return event
    }

    private mutating func io(_ process: Int) -> BatchEncoder.IO {
        var event = BatchEncoder.IO()
        event.timestamp = StampClock.placeholder
        event.pid = pid(process)
        event.comm = comm(process)
        let isWrite = random.below(3) == 0
        event.operation = isWrite ? "WRITE" : "READ"
        event.bytes = 16_384
        event.latencyMilliseconds = Double(200 + random.below(100)) / 1_000
        event.device = "nvme0n1"
        event.major = 259
        event.readBytes = wide(.readBytes, of: process, by: isWrite ? 0 : event.bytes)
        event.writeBytes = wide(.writeBytes, of: process, by: isWrite ? event.bytes : 0)
        event.readOperations = wide(.reads, of: process, by: isWrite ? 0 : 1)
        event.writeOperations = wide(.writes, of: process, by: isWrite ? 1 : 0)
        event.averageReadLatencyMilliseconds = 0.25
        event.averageWriteLatencyMilliseconds = 0.4
        return event
    }

    private mutating func gpu(_ process: Int) -> BatchEncoder.GPU {
        var event = BatchEncoder.GPU()
        event.timestamp = StampClock.placeholder
        let pid = pid(process)
        switch random.below(4) {
        case 0:
            let frames = ["main", "train_step", "forward_\(random.below(20))", "cudaLaunchKernel"]
            event.payload = .callStack(pid: pid, frames: frames)
        case 1: event.payload = .memory(pid: pid, bytes: 256 << 20)
        case 2:
            let kernel = "volta_sgemm_\(random.below(40))_nn"
            event.payload = .launch(pid: pid, kernelName: kernel, calls: 1)
        default: event.payload = .transfer(pid: pid, bytesPerSecond: 6 << 30, kind: "H2D")
        }
        return event
    }
}
