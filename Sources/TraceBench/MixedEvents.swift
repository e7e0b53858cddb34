import TraceWire

/// Events of all six kinds in turn. Cumulative counters grow from batch to batch.
struct MixedEvents {
    private static let firstProcess = 1_000

    private let processes: Int
    private var functions: FunctionEvents
    private var random = BenchRandom(seed: 2)
    private var round: UInt64 = 1_000

    init(processes: Int, functions: Int) {
        self.processes = processes
        self.functions = FunctionEvents(processes: processes, functions: functions)
    }

    /// Appends `count` events, a sixth of each kind; functions make up the remainder.
    mutating func append(_ count: Int, to encoder: inout BatchEncoder) {
        for _ in 0..<(count / 6) {
            round += 1
            let pid = UInt32(Self.firstProcess + random.below(processes))
            encoder.append(cpu(pid))
            encoder.append(memory(pid))
            encoder.append(network(pid))
            encoder.append(io(pid))
            encoder.append(gpu(pid))
        }
        functions.append(count - count / 6 * 5, to: &encoder)
    }

    private mutating func cpu(_ pid: UInt32) -> BatchEncoder.CPU {
        var event = BatchEncoder.CPU()
        event.timestamp = StampClock.placeholder
        event.pid = pid
        event.ppid = 1
        event.comm = comm(pid)
        event.cpuID = UInt32(random.below(16))
        event.onCPUMicroseconds = round * 400
        event.offCPUMicroseconds = round * 600
        event.utilizationPercent = 35 + Double(random.below(1_000)) / 100
        event.migrations = UInt32(truncatingIfNeeded: round / 10)
        event.hotspotCPU = event.cpuID
        event.hotspotPercent = 60
        return event
    }

    private mutating func memory(_ pid: UInt32) -> BatchEncoder.Memory {
        var event = BatchEncoder.Memory()
        event.timestamp = StampClock.placeholder
        event.pid = pid
        event.tgid = pid
        event.comm = comm(pid)
        event.operation = round % 2 == 0 ? "alloc" : "free"
        event.size = 4_096
        // Each address is released by the process that got it or never seen again.
        event.address = 0x7F00_0000_0000 + UInt64(random.below(1 << 14)) * 4_096
        event.stackID = UInt64(random.below(1_000))
        event.totalAllocs = round
        event.totalFrees = round / 2
        event.currentMemory = 64 << 20
        event.peakMemory = 80 << 20
        event.pattern = 1
        event.fragmentationScore = 10
        event.churnScore = 20
        return event
    }

    private mutating func network(_ pid: UInt32) -> BatchEncoder.Network {
        var event = BatchEncoder.Network()
        event.timestamp = StampClock.placeholder
        event.pid = pid
        event.tgid = pid
        event.comm = comm(pid)
        event.isSend = round % 2 == 0
        event.bytes = UInt64(1_000 + random.below(500))
        event.sourceAddress = "10.0.0.7"
        event.destinationAddress = "10.0.1.\(random.below(32))"
        event.sourcePort = UInt32(40_000 + random.below(64))
        event.destinationPort = 443
        event.transport = "TCP"
        event.txBytes = round * 1_250
        event.rxBytes = round * 2_500
        event.txPackets = round
        event.rxPackets = round * 2
        event.pattern = 1
        event.activeConnections = 12
        return event
    }

    private mutating func io(_ pid: UInt32) -> BatchEncoder.IO {
        var event = BatchEncoder.IO()
        event.timestamp = StampClock.placeholder
        event.pid = pid
        event.comm = comm(pid)
        event.operation = round % 3 == 0 ? "WRITE" : "READ"
        event.bytes = 16_384
        event.latencyMilliseconds = 0.2 + Double(random.below(100)) / 1_000
        event.device = "nvme0n1"
        event.major = 259
        event.readBytes = round * 16_384
        event.writeBytes = round * 8_192
        event.readOperations = round
        event.writeOperations = round / 2
        event.averageReadLatencyMilliseconds = 0.25
        event.averageWriteLatencyMilliseconds = 0.4
        return event
    }

    private mutating func gpu(_ pid: UInt32) -> BatchEncoder.GPU {
        var event = BatchEncoder.GPU()
        event.timestamp = StampClock.placeholder
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

    private func comm(_ pid: UInt32) -> String { "service-\(pid % 50)" }
}
