import TraceModel
import TraceWire

/// Renders what happens as the NeuTracer agent does, which traces one process.
///
/// An event is sent only if enough time has passed since the last one sent of its kind, of any thread; what
/// is skipped moves the agent's counters all the same.
struct NeutracerAgent: Agent {
    private let process: TracedProcess
    private var stamp: Stamp
    private var gates: [Resource: SamplingGate] = [
        .function: SamplingGate(interval: 100), .memory: SamplingGate(interval: 100),
        .network: SamplingGate(interval: 10), .io: SamplingGate(interval: 10),
        .cpu: SamplingGate(interval: 10_000),
        .gpu: SamplingGate(interval: 0),
    ]
    private var functions = FunctionCounters()
    private var launches: [String: UInt64] = [:]
    private var cpu = CPUCounters(start: 0)
    private var shares = CPUShares()
    private var memory = MemoryCounters()
    private var threads: [UInt32: ThreadTraffic] = [:]
    /// The counters of the thread whose network event was sent last, as they were then.
    private var lastSent = ThreadTraffic()
    private var disk = DiskCounters()
    /// The bytes at the last I/O event that was sent.
    private var diskTold = DiskCounters()

    init(process: TracedProcess, start: Int64) {
        self.process = process
        stamp = Stamp(start: start)
    }

    mutating func resetHourlyCounters(at time: Int64) {
        cpu = CPUCounters(start: time)
        memory = MemoryCounters()
        threads = [:]
        disk = DiskCounters()
    }

    mutating func observe(_ happening: Happening) -> AgentEvent? {
        switch happening.action {
        case .enter, .leave: observeCall(happening)
        case .scheduled(let slice): observe(slice, happening)
        case .allocate(let block): observe(block, isFree: false, happening)
        case .free(let block): observe(block, isFree: true, happening)
        case .packet(let packet): observe(packet, happening)
        case .disk(let operation): observe(operation, happening)
        case .launch(let kernel):
            gpu(happening, .launch(pid: process.pid, kernelName: kernel, calls: count(kernel)))
        case .deviceMemory(let bytes): gpu(happening, .memory(pid: process.pid, bytes: bytes))
        case .transfer(let kind, let rate):
            // MiB/s in a field that is documented as bytes/s, cut to an integer.
            gpu(happening, .transfer(pid: process.pid, bytesPerSecond: UInt64(rate), kind: kind))
        case .callStack(let frames): gpu(happening, .callStack(pid: process.pid, frames: frames))
        }
    }

    private mutating func isSent(_ resource: Resource, _ happening: Happening) -> Bool {
        gates[resource]?.admits(happening.time) ?? false
    }

    // MARK: Functions and GPU

    private mutating func observeCall(_ happening: Happening) -> AgentEvent? {
        guard let call = functions.note(happening), isSent(.function, happening) else { return nil }
        var event = BatchEncoder.Function()
        event.timestamp = stamp.text(happening.time)
        event.eventType = call.isEntry ? 0 : 1
        event.cookie = call.function.cookie
        event.functionName = call.function.name
        event.pid = happening.thread
        event.tgid = process.pid
        event.callCount = call.counter.entries
        // The finished calls' time over the entries, those not finished included.
        event.averageDurationMicroseconds = call.counter.microseconds / call.counter.entries
        return .function(event)
    }

    private mutating func count(_ kernel: String) -> UInt64 {
        launches[kernel, default: 0] += 1
        return launches[kernel, default: 0]
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

    // MARK: CPU

    private mutating func observe(_ slice: CPUSlice, _ happening: Happening) -> AgentEvent? {
        cpu.note(slice, at: happening.time)
        shares.note(slice)
        guard isSent(.cpu, happening) else { return nil }
        var event = BatchEncoder.CPU()
        event.timestamp = stamp.text(happening.time)
        event.pid = process.pid
        event.ppid = process.parent
        event.comm = process.comm
        event.cpuID = slice.cpu
        event.onCPUMicroseconds = cpu.onTimeSums
        event.offCPUMicroseconds = cpu.offTimeSums
        event.utilizationPercent = cpu.window.utilization
        event.migrations = cpu.migrations
        event.numaMigrations = cpu.numaMigrations
        event.hotspotCPU = shares.hotspot.cpu
        event.hotspotPercent = shares.hotspot.fraction
        return .cpu(event)
    }

    // MARK: Memory

    private mutating func observe(
        _ block: MemoryBlock,
        isFree: Bool,
        _ happening: Happening
    ) -> AgentEvent? {
        memory.note(block, isFree: isFree)
        guard isSent(.memory, happening) else { return nil }
        var event = BatchEncoder.Memory()
        event.timestamp = stamp.text(happening.time)
        event.pid = happening.thread
        event.tgid = process.pid
        event.comm = process.comm
        event.operation = isFree ? "free" : "alloc"
        event.size = block.size
        event.address = block.address
        event.stackID = block.stack
        event.totalAllocs = memory.untoldAllocated
        event.totalFrees = memory.untoldFreed
        event.currentMemory = memory.current
        event.peakMemory = memory.peak
        memory.tell()
        return .memory(event)
    }

    // MARK: Network and I/O

    private mutating func observe(_ packet: Packet, _ happening: Happening) -> AgentEvent? {
        threads[happening.thread, default: ThreadTraffic()].note(packet)
        guard isSent(.network, happening), let thread = threads[happening.thread] else {
            return nil
        }
        var event = BatchEncoder.Network(packet, followsPacket: true)
        event.timestamp = stamp.text(happening.time)
        event.pid = happening.thread
        event.tgid = process.pid
        event.comm = process.comm
        // This thread's counter less that of whichever thread sent the event before: below zero it wraps.
        event.txBytes = thread.sent.bytes &- lastSent.sent.bytes
        event.rxBytes = thread.received.bytes &- lastSent.received.bytes
        event.txPackets = thread.sent.packets
        event.rxPackets = thread.received.packets
        event.activeConnections = UInt32(thread.directions.count)
        lastSent = thread
        return .network(event)
    }

    private mutating func observe(_ operation: DiskOperation, _ happening: Happening) -> AgentEvent?
    {
        disk.note(operation)
        guard isSent(.io, happening) else { return nil }
        var event = BatchEncoder.IO(operation)
        event.timestamp = stamp.text(happening.time)
        event.pid = process.pid
        event.comm = process.comm
        event.readBytes = Self.difference(disk.reads.bytes, diskTold.reads.bytes)
        event.writeBytes = Self.difference(disk.writes.bytes, diskTold.writes.bytes)
        event.readOperations = disk.reads.operations
        event.writeOperations = disk.writes.operations
        // Microseconds in fields that are documented as milliseconds.
        event.averageReadLatencyMilliseconds = disk.reads.averageLatency
        event.averageWriteLatencyMilliseconds = disk.writes.averageLatency
        diskTold = disk
        return .io(event)
    }

    private static func difference(_ now: UInt64, _ before: UInt64) -> UInt64 {
        now > before ? now - before : 0
    }
}

// MARK: - What the agent counts

/// Lets events of one kind through that are at least an interval after the last one let through.
struct SamplingGate {
    /// Microseconds.
    let interval: Int64
    private var last: Int64?

    init(interval: Int64) { self.interval = interval }

    mutating func admits(_ time: Int64) -> Bool {
        if let last, time - last < interval { return false }
        last = time
        return true
    }
}

/// The agent's sums of CPU use, in which each sample adds the whole window so far.
private struct CPUCounters {
    private(set) var window: CPUWindow
    private(set) var onTimeSums: UInt64 = 0
    private(set) var offTimeSums: UInt64 = 0
    private(set) var migrations: UInt32 = 0
    private(set) var numaMigrations: UInt32 = 0

    init(start: Int64) { window = CPUWindow(start: start) }

    mutating func note(_ slice: CPUSlice, at time: Int64) {
        window.note(slice, at: time)
        onTimeSums += UInt64(max(window.onTime, 0))
        offTimeSums += UInt64(max(window.offTime, 0))
        if slice.isMigration { migrations += 1 }
        if slice.isNUMAMigration { numaMigrations += 1 }
    }
}

/// The agent's view of the heap.
private struct MemoryCounters {
    private(set) var untoldAllocated: UInt64 = 0
    private(set) var untoldFreed: UInt64 = 0
    private(set) var current: UInt64 = 0
    private(set) var peak: UInt64 = 0

    mutating func note(_ block: MemoryBlock, isFree: Bool) {
        if isFree {
            untoldFreed += block.size
            // After a reset there are blocks that the agent does not count any more.
            current -= min(block.size, current)
        } else {
            untoldAllocated += block.size
            current += block.size
        }
        peak = max(peak, current)
    }

    /// An event that says all of it was sent.
    mutating func tell() { (untoldAllocated, untoldFreed) = (0, 0) }
}

/// What a thread sent and received so far.
private struct ThreadTraffic {
    /// Packets of one direction.
    struct Sum {
        var bytes: UInt64 = 0
        var packets: UInt64 = 0

        mutating func add(_ packet: Packet) {
            bytes += packet.bytes
            packets += 1
        }
    }

    /// A connection in one of its directions, which counts as a connection of its own.
    struct Direction: Hashable {
        let connection: Connection
        let isSend: Bool
    }

    private(set) var sent = Sum()
    private(set) var received = Sum()
    private(set) var directions: Set<Direction> = []

    mutating func note(_ packet: Packet) {
        if packet.isSend { sent.add(packet) } else { received.add(packet) }
        directions.insert(Direction(connection: packet.connection, isSend: packet.isSend))
    }
}
