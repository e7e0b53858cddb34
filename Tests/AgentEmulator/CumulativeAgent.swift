import TraceWire

/// Renders what happens with running totals and sends all of it; it traces any number of processes.
struct CumulativeAgent: Agent {
    private let processes: [TracedProcess]
    private var stamp: Stamp
    private var counters: [ProcessCounters]

    init(processes: [TracedProcess], start: Int64) {
        self.processes = processes
        stamp = Stamp(start: start)
        counters = processes.map { _ in ProcessCounters() }
    }

    /// Its counters never go back.
    mutating func resetHourlyCounters(at time: Int64) {}

    mutating func observe(_ happening: Happening) -> AgentEvent? {
        let pid = processes[happening.process].pid
        return switch happening.action {
        case .enter, .leave: observeCall(happening)
        case .scheduled(let slice): .cpu(observe(slice, happening))
        case .allocate(let block): .memory(observe(block, isFree: false, happening))
        case .free(let block): .memory(observe(block, isFree: true, happening))
        case .packet(let packet): .network(observe(packet, happening))
        case .disk(let operation): .io(observe(operation, happening))
        case .launch(let kernel): gpu(happening, .launch(pid: pid, kernelName: kernel, calls: 1))
        case .deviceMemory(let bytes): gpu(happening, .memory(pid: pid, bytes: bytes))
        case .transfer(let kind, let rate):
            gpu(
                happening,
                .transfer(pid: pid, bytesPerSecond: UInt64(rate * 1_048_576), kind: kind)
            )
        case .callStack(let frames): gpu(happening, .callStack(pid: pid, frames: frames))
        }
    }

    private mutating func observeCall(_ happening: Happening) -> AgentEvent? {
        guard let call = counters[happening.process].functions.note(happening) else { return nil }
        var event = BatchEncoder.Function()
        event.timestamp = stamp.text(happening.time)
        event.eventType = call.isEntry ? 0 : 1
        event.cookie = call.function.cookie
        event.functionName = call.function.name
        event.pid = happening.thread
        event.tgid = processes[happening.process].pid
        event.callCount = call.counter.entries
        event.averageDurationMicroseconds =
            call.counter.finished == 0 ? 0 : call.counter.microseconds / call.counter.finished
        return .function(event)
    }

    private mutating func gpu(
        _ happening: Happening,
        _ payload: BatchEncoder.GPU.Payload
    ) -> AgentEvent {
        var event = BatchEncoder.GPU()
        event.timestamp = stamp.text(happening.time)
        event.payload = payload
        return .gpu(event)
    }

    private mutating func observe(_ slice: CPUSlice, _ happening: Happening) -> BatchEncoder.CPU {
        let process = processes[happening.process]
        counters[happening.process].note(slice, at: happening.time)
        let sums = counters[happening.process]
        var event = BatchEncoder.CPU()
        event.timestamp = stamp.text(happening.time)
        event.pid = process.pid
        event.ppid = process.parent
        event.comm = process.comm
        event.cpuID = slice.cpu
        event.onCPUMicroseconds = UInt64(sums.onTime)
        event.offCPUMicroseconds = UInt64(max(sums.time - sums.onTime, 0))
        event.utilizationPercent = sums.window.utilization
        event.migrations = sums.migrations
        event.numaMigrations = sums.numaMigrations
        event.hotspotCPU = sums.shares.hotspot.cpu
        event.hotspotPercent = sums.shares.hotspot.fraction * 100
        return event
    }

    private mutating func observe(
        _ block: MemoryBlock,
        isFree: Bool,
        _ happening: Happening
    ) -> BatchEncoder.Memory {
        let process = processes[happening.process]
        counters[happening.process].note(block, isFree: isFree)
        let sums = counters[happening.process]
        var event = BatchEncoder.Memory()
        event.timestamp = stamp.text(happening.time)
        event.pid = happening.thread
        event.tgid = process.pid
        event.comm = process.comm
        event.operation = isFree ? "free" : "alloc"
        event.size = block.size
        event.address = block.address
        event.stackID = block.stack
        event.totalAllocs = sums.allocations
        event.totalFrees = sums.frees
        event.currentMemory = sums.current
        event.peakMemory = sums.peak
        return event
    }

    private mutating func observe(_ packet: Packet, _ happening: Happening) -> BatchEncoder.Network
    {
        let process = processes[happening.process]
        counters[happening.process].note(packet)
        let sums = counters[happening.process]
        var event = BatchEncoder.Network(packet, followsPacket: false)
        event.timestamp = stamp.text(happening.time)
        event.pid = happening.thread
        event.tgid = process.pid
        event.comm = process.comm
        event.txBytes = sums.sentBytes
        event.rxBytes = sums.receivedBytes
        event.txPackets = sums.sentPackets
        event.rxPackets = sums.receivedPackets
        event.activeConnections = UInt32(sums.connections.count)
        return event
    }

    private mutating func observe(
        _ operation: DiskOperation,
        _ happening: Happening
    ) -> BatchEncoder.IO {
        let process = processes[happening.process]
        counters[happening.process].disk.note(operation)
        let disk = counters[happening.process].disk
        var event = BatchEncoder.IO(operation)
        event.timestamp = stamp.text(happening.time)
        event.pid = process.pid
        event.comm = process.comm
        event.readBytes = disk.reads.bytes
        event.writeBytes = disk.writes.bytes
        event.readOperations = disk.reads.operations
        event.writeOperations = disk.writes.operations
        event.averageReadLatencyMilliseconds = disk.reads.averageLatency / 1_000
        event.averageWriteLatencyMilliseconds = disk.writes.averageLatency / 1_000
        return event
    }
}

/// What one process has done so far.
private struct ProcessCounters {
    var functions = FunctionCounters()
    private(set) var window = CPUWindow(start: 0)
    private(set) var shares = CPUShares()
    private(set) var onTime: Int64 = 0
    /// The end of the last slice.
    private(set) var time: Int64 = 0
    private(set) var migrations: UInt32 = 0
    private(set) var numaMigrations: UInt32 = 0
    private(set) var allocations: UInt64 = 0
    private(set) var frees: UInt64 = 0
    private(set) var current: UInt64 = 0
    private(set) var peak: UInt64 = 0
    private(set) var sentBytes: UInt64 = 0
    private(set) var receivedBytes: UInt64 = 0
    private(set) var sentPackets: UInt64 = 0
    private(set) var receivedPackets: UInt64 = 0
    private(set) var connections: Set<Connection> = []
    var disk = DiskCounters()

    mutating func note(_ slice: CPUSlice, at time: Int64) {
        window.note(slice, at: time)
        shares.note(slice)
        onTime += slice.onTime
        self.time = time
        if slice.isMigration { migrations += 1 }
        if slice.isNUMAMigration { numaMigrations += 1 }
    }

    mutating func note(_ block: MemoryBlock, isFree: Bool) {
        if isFree {
            frees += 1
            current -= min(block.size, current)
        } else {
            allocations += 1
            current += block.size
        }
        peak = max(peak, current)
    }

    mutating func note(_ packet: Packet) {
        connections.insert(packet.connection)
        if packet.isSend {
            sentBytes += packet.bytes
            sentPackets += 1
        } else {
            receivedBytes += packet.bytes
            receivedPackets += 1
        }
    }
}
